"""The hypervolume that a run reports of itself while it works (our definition)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log10

from hwnas.objective import Objective
from hwnas.pareto import Bounds, hypervolume

DECADES = 1.0  # how far beyond the initial networks the box reaches, in powers of ten


@dataclass(frozen=True, slots=True, kw_only=True)
class HypervolumeBox:
    """A box that is laid once, around the initial networks, so that values of one run compare over time, not between runs."""

    objectives: tuple[Objective, ...]
    bounds: tuple[Bounds, ...]

    @classmethod
    def of(cls, objectives: Sequence[Objective], first: Sequence[Mapping[str, float]]) -> "HypervolumeBox":
        """Error from 0 to its upper bound, 1 where none is set; any other objective from a tenth of its least to ten times
        its largest initial value.

        What is above the largest error counts for nothing from the start, so the curve does not fall when it leaves the front.
        """
        return cls(objectives=tuple(objectives), bounds=tuple(_bounds(objective, first) for objective in objectives))

    def hypervolume(self, front: Sequence[Mapping[str, float]]) -> float:
        """The share in [0, 1] of the box that a front dominates."""
        return hypervolume([[values[objective.name] for objective in self.objectives] for values in front], self.bounds)


def _bounds(objective: Objective, first: Sequence[Mapping[str, float]]) -> Bounds:
    if not objective.log_scale:
        return Bounds(low=0.0, high=1.0 if objective.upper_bound is None else objective.upper_bound)
    logs = [log10(max(values[objective.name], 1e-12)) for values in first]
    return Bounds(low=min(logs) - DECADES, high=max(logs) + DECADES, log10=True)
