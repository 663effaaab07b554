"""How one network becomes another: operators that return a child graph and an inheritance plan."""

from hwnas.morphism.catalogue import AGAINST_FLIPS, KNOWN, OPERATORS, morph, operators_named
from hwnas.morphism.inheritance import Inheritance, Morphed, check_plan, from_json, to_json
from hwnas.morphism.operator import Operator, Site

__all__ = [
    "AGAINST_FLIPS",
    "KNOWN",
    "OPERATORS",
    "Inheritance",
    "Morphed",
    "Operator",
    "Site",
    "check_plan",
    "from_json",
    "morph",
    "operators_named",
    "to_json",
]
