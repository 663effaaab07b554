"""Operators that go wrong, as a user's own might."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from unittest.mock import patch

from numpy.random import Generator

from hwnas.graph import Graph
from hwnas.morphism import OPERATORS, Morphed, Operator
from hwnas.morphism.inheritance import Constant, Inheritance
from hwnas.morphism.operator import Site

WIDEN = OPERATORS["widen"]


class RaisesInApply:
    """Has sites, and fails at each."""

    name, exact = "raises_in_apply", False

    def sites(self, graph: Graph) -> tuple[Site, ...]:
        return WIDEN.sites(graph)

    def apply(self, graph: Graph, site: Site, rng: Generator) -> Morphed:
        raise ZeroDivisionError("no channels left")


class RaisesInSites(RaisesInApply):
    """Cannot even say where it applies."""

    name = "raises_in_sites"

    def sites(self, graph: Graph) -> tuple[Site, ...]:
        raise KeyError("a node of another graph")


class BadPlan(RaisesInApply):
    """Gives a sound child, and a plan that gives a value to a tensor that is not there."""

    name = "bad_plan"

    def apply(self, graph: Graph, site: Site, rng: Generator) -> Morphed:
        plan = Inheritance(exact=False, records=(Constant(tensor="nowhere", value=0.0),))
        return Morphed(graph=WIDEN.apply(graph, site, rng).graph, inheritance=plan)


@contextmanager
def searching_with(*operators: Operator) -> Iterator[Mapping[str, Operator]]:
    """The strategy draws from these alone."""
    chosen = MappingProxyType({operator.name: operator for operator in operators})
    with patch("hwnas.morphism.catalogue.OPERATORS", chosen):
        yield chosen
