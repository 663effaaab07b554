"""Successive halving over several objectives: which children are promoted.

A child's training is cut at rungs, shares of its budget. At a rung the children are compared with their siblings by all
objectives of the run, the error being that of the rung, and only the better part of them is trained on: by non-dominated rank,
then by hypervolume contribution (see ``best_first``). What halving does to the error alone is [Jamieson2016], what decides at
once from those that came earlier is [Li2020]; by several objectives, ranked by dominance, it is the MO-ASHA of [Schmucker2021],
all from memory. That contributions break ties is our definition.
"""

import math
from collections import deque
from collections.abc import Mapping, Sequence, Set

from hwnas.objective import Objective
from hwnas.pareto import Resolution, best_first
from hwnas.settings import Rungs


def promoted(reached: Mapping[str, Mapping[str, float]], objectives: Sequence[Objective], keep: float) -> frozenset[str]:
    """Those that are promoted of the children that reached a rung (values by id): the best, at least a share ``keep`` of them.

    A function of the set: a child that dominates another is never stopped before it; equal ones go by their ids. What is above
    the ``upper_bound`` of an objective comes after all that is within.
    """
    above = {each for each, values in reached.items() if not all(o.allows(values[o.name]) for o in objectives)}
    order = [*_best_first(reached.keys() - above, reached, objectives), *_best_first(above, reached, objectives)]
    return frozenset(order[: math.ceil(keep * len(order))])


def _best_first(chosen: Set[str], reached: Mapping[str, Mapping[str, float]], objectives: Sequence[Objective]) -> Sequence[str]:
    if not chosen:
        return ()
    ids = sorted(chosen)
    order = best_first(
        [[reached[each][objective.name] for objective in objectives] for each in ids],
        [Resolution(size=objective.resolution, relative=objective.relative) for objective in objectives],
        log=[objective.log_scale for objective in objectives],
    )
    return [ids[index] for index in order]


class AsyncRungs:
    """The form that waits for nobody: each child is compared with the latest that came to its rung, itself among them."""

    def __init__(self, rungs: Rungs, objectives: Sequence[Objective]) -> None:
        self._keep = rungs.keep
        self._objectives = tuple(objectives)
        self._reached = [deque[tuple[str, Mapping[str, float]]](maxlen=rungs.latest) for _ in rungs.shares]

    def add(self, rung: int, candidate_id: str, values: Mapping[str, float]) -> None:
        """A child reaches a rung."""
        self._reached[rung].append((candidate_id, values))

    def is_promoted(self, rung: int, candidate_id: str) -> bool:
        """Whether the child that reached a rung last is promoted. The first one always is."""
        return candidate_id in promoted(dict(self._reached[rung]), self._objectives, self._keep)
