"""The way back to the feasible region: approximate morphisms until a network keeps within the limits (our definition).

1. How far away a network is: the largest ratio of a value to its limit; at most 1 is feasible.
2. From the network at hand every child by one shrinking operator is looked at; one of those that are nearer than it is drawn
   uniformly, so that walks from one network differ.
3. A walk ends at the first network that is feasible and new, or where no child is nearer.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from numpy.random import Generator

from hwnas.candidate import Step
from hwnas.errors import OperatorError
from hwnas.graph import Graph
from hwnas.morphism.catalogue import OPERATORS
from hwnas.morphism.operator import failures_named
from hwnas.objective import Limit
from hwnas.search.strategy import CheapValues

SHRINKING = ("prune", "separable", "remove_layer", "remove_skip")
LONGEST = 32  # steps; pruning alone brings 1,000 channels to 1 in ten to twenty-four


@dataclass(frozen=True, slots=True, kw_only=True)
class Walk:
    """Where a walk ended: the steps to its last network, that network's cheap values, and whether it is feasible and new."""

    steps: tuple[Step, ...]
    values: Mapping[str, float]
    arrived: bool


def distance(limits: Sequence[Limit], values: Mapping[str, float]) -> float:
    """The largest ratio of a known value to its limit; 0 without limits."""
    return max((values[each.objective] / each.maximum for each in limits if each.objective in values), default=0.0)


def shrink(
    graph: Graph,
    values: Mapping[str, float],
    *,
    limits: Sequence[Limit],
    cheap: CheapValues,
    is_new: Callable[[Graph], bool],
    rng: Generator,
    on_failure: Callable[[OperatorError], object],
) -> Walk:
    """Walk from a graph with these cheap values towards the limits; ``on_failure`` gets what an operator failed with."""
    steps: list[Step] = []
    while len(steps) < LONGEST:
        here = distance(limits, values)
        children = _children(graph, rng, on_failure)
        nearer = [
            (step, found)
            for step, found in zip(children, cheap([step.graph for step in children]), strict=True)
            if distance(limits, found) < here
        ]
        if not nearer:  # 3.
            break
        step, values = nearer[int(rng.integers(len(nearer)))]  # 2.
        steps.append(step)
        graph = step.graph
        if distance(limits, values) <= 1 and is_new(graph):
            return Walk(steps=tuple(steps), values=values, arrived=True)
    return Walk(steps=tuple(steps), values=values, arrived=False)


def _children(graph: Graph, rng: Generator, on_failure: Callable[[OperatorError], object]) -> list[Step]:
    children = list[Step]()
    for name in SHRINKING:
        operator = OPERATORS[name]
        try:
            with failures_named(operator):
                morphed = [operator.apply(graph, site, rng) for site in operator.sites(graph)]
        except OperatorError as error:
            on_failure(error)
        else:
            children += [Step(operator=name, graph=child.graph, inheritance=child.inheritance) for child in morphed]
    return children
