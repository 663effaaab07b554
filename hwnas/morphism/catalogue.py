"""Every operator there is, and one random step with them.

``OPERATORS`` are those of every search, ``AGAINST_FLIPS`` those of one that may bound activations, too.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from numpy.random import Generator

from hwnas.graph import Graph
from hwnas.morphism.bound import BoundActivations
from hwnas.morphism.enlarge_kernel import EnlargeKernel
from hwnas.morphism.inheritance import Morphed
from hwnas.morphism.insert import InsertConvolution
from hwnas.morphism.operator import Operator, failures_named
from hwnas.morphism.prune import Prune
from hwnas.morphism.remove_layer import RemoveLayer
from hwnas.morphism.remove_skip import RemoveSkip
from hwnas.morphism.separable import Separable
from hwnas.morphism.skip_add import SkipAdd
from hwnas.morphism.skip_concat import SkipConcat
from hwnas.morphism.widen import Widen

_ALL: tuple[Operator, ...] = (
    InsertConvolution(),
    Widen(),
    EnlargeKernel(),
    SkipConcat(),
    SkipAdd(),
    RemoveLayer(),
    RemoveSkip(),
    Prune(),
    Separable(),
)
OPERATORS: Mapping[str, Operator] = MappingProxyType({operator.name: operator for operator in _ALL})
AGAINST_FLIPS: Mapping[str, Operator] = MappingProxyType({**OPERATORS, BoundActivations().name: BoundActivations()})


def morph(graph: Graph, rng: Generator, operators: Sequence[Operator] = tuple(OPERATORS.values())) -> tuple[str, Morphed] | None:
    """One step: an operator uniformly [Elsken2019] among those with a site (our choice), its site uniformly; None without one.

    Returns the operator's name, and the child with its plan. Raises OperatorError for whatever an operator raises.
    """
    for index in rng.permutation(len(operators)):  # the first with a site in a random order is uniform among those with one
        operator = operators[index]
        with failures_named(operator):
            if sites := operator.sites(graph):
                return operator.name, operator.apply(graph, sites[int(rng.integers(len(sites)))], rng)
    return None
