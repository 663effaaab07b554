"""What an operator is: it lists its sites in a graph, and applies itself to one of them."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from numpy.random import Generator

from hwnas.errors import MorphismError, OperatorError
from hwnas.graph import Graph
from hwnas.morphism.inheritance import Morphed


@dataclass(frozen=True, slots=True)
class Site:
    """A place where an operator applies: node ids, whose meaning each operator's docstring gives."""

    nodes: tuple[int, ...]


class Operator(Protocol):
    """One way in which a network becomes another. ``exact`` operators keep the function, the others come near to it."""

    @property
    def name(self) -> str:
        """The operator's name in records and tables."""

    @property
    def exact(self) -> bool:
        """Whether the child computes what its parent computes."""

    def sites(self, graph: Graph) -> tuple[Site, ...]:
        """Every place where the operator applies, in a fixed order."""

    def apply(self, graph: Graph, site: Site, rng: Generator) -> Morphed:
        """The child and its plan; free choices (a kernel's size, a width) come from ``rng``. Raises MorphismError off-site."""


@contextmanager
def failures_named(operator: Operator) -> Iterator[None]:
    """Whatever goes wrong inside becomes an OperatorError that names the operator: a search drops the proposal and continues."""
    try:
        yield
    except Exception as error:  # operators may be a user's own, which can raise anything
        raise OperatorError(operator.name, f"{type(error).__name__}: {error}") from error


def require_site(operator: Operator, graph: Graph, site: Site) -> None:
    """Raise MorphismError unless ``site`` is one of the operator's in ``graph``."""
    sites = operator.sites(graph)
    if site not in sites:
        raise MorphismError(f"{operator.name}: {site} is no site in this graph; it has {sites}")
