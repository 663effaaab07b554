"""How one network becomes another: operators that return a child graph and an inheritance plan."""

from hwnas.morphism.catalogue import KNOWN, OPERATORS, WITH_BOUNDING, morph, operators_named
from hwnas.morphism.inheritance import Inheritance, Morphed, check_plan, from_json, to_json
from hwnas.morphism.operator import Operator, Site

__all__ = [
    "KNOWN",
    "OPERATORS",
    "WITH_BOUNDING",
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
