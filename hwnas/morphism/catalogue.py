"""Every operator there is, and one random step with them.

``OPERATORS`` are those of every search by default, ``FOR_BROUGHT`` those that a search which begins with a user's own network
draws, too, and ``WITH_BOUNDING`` those of one that may bound activations. ``KNOWN`` are all that a configuration can name; the
gate and the other activation are drawn only then, since no benchmark has shown yet what they gain. A user's own are known by
``package.module:attribute``.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import cast

from numpy.random import Generator

from hwnas.errors import ConfigError
from hwnas.graph import Graph
from hwnas.morphism.bound import BoundActivations
from hwnas.morphism.enlarge_kernel import EnlargeKernel
from hwnas.morphism.inheritance import Morphed
from hwnas.morphism.insert import InsertConvolution
from hwnas.morphism.insert_gate import InsertGate
from hwnas.morphism.operator import Operator, failures_named
from hwnas.morphism.project_shortcut import ProjectShortcut
from hwnas.morphism.prune import Prune
from hwnas.morphism.prune_groups import PruneGroups
from hwnas.morphism.remove_layer import RemoveLayer
from hwnas.morphism.remove_skip import RemoveSkip
from hwnas.morphism.separable import Separable
from hwnas.morphism.skip_add import SkipAdd
from hwnas.morphism.skip_concat import SkipConcat
from hwnas.morphism.swap_activation import SwapActivation
from hwnas.morphism.widen import Widen
from hwnas.settings.reference import is_reference, resolve

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
WITH_BOUNDING: Mapping[str, Operator] = MappingProxyType({**OPERATORS, BoundActivations().name: BoundActivations()})
FOR_BROUGHT: Mapping[str, Operator] = MappingProxyType(
    {ProjectShortcut().name: ProjectShortcut(), PruneGroups().name: PruneGroups()}
)
KNOWN: Mapping[str, Operator] = MappingProxyType(
    {**WITH_BOUNDING, **FOR_BROUGHT, InsertGate().name: InsertGate(), SwapActivation().name: SwapActivation()}
)


def operators_named(names: Sequence[str] = (), *, brought: bool = False) -> tuple[Operator, ...]:
    """The operators of these names and references; without any, those of every search, or of one that begins with a ``brought``
    network.

    Raises ConfigError for unknown names and what is no operator, RequestError where a reference names nothing.
    """
    default = (*OPERATORS.values(), *(FOR_BROUGHT.values() if brought else ()))
    found = tuple(_operator(name) for name in names) or default
    own = [operator.name for operator in found]
    if len(set(own)) < len(own):
        raise ConfigError(f"operators have names of their own and are given once, got {', '.join(own)}")
    return found


def _operator(name: str) -> Operator:
    if name in KNOWN:
        return KNOWN[name]
    if not is_reference(name):
        known = ", ".join(KNOWN)
        raise ConfigError(f"unknown operator {name}; known are {known}, and your own by package.module:attribute")
    operator = resolve(name)
    if missing := [each for each in ("name", "exact", "sites", "apply") if each not in dir(operator)]:
        raise ConfigError(f"{name} must be an operator, and it has no {', '.join(missing)}: see hwnas.morphism.Operator")
    if operator.name in KNOWN:
        raise ConfigError(f"{name} needs a name of its own, got {operator.name}, which is hwnas's")
    return cast(Operator, operator)


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
