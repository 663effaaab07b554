"""Quality of a front: the hypervolume it dominates in a stated box, normalised to 1."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import moocore
import numpy as np
from numpy.typing import ArrayLike

from hwnas.pareto.points import FloatArray, as_points


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """The range of one objective that a hypervolume covers, from `low` (best) to `high` (the reference, worst).

    Where `log10`, both are decimal logarithms: 2 to 5.3 is 100 to 200,000. Raises: ValueError unless low < high.
    """

    low: float
    high: float
    log10: bool = False

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise ValueError(f"expected finite bounds with low < high, got {self.low} to {self.high}")


def normalise(points: ArrayLike, bounds: Sequence[Bounds]) -> FloatArray:
    """Map points `(n, m)` to the unit box of `bounds`: 0 at `low` or better, 1 at `high`, above 1 beyond it.

    Raises: ValueError for values that are not finite, or negative where the bounds are logarithmic.
    """
    values = as_points(points)
    if len(bounds) != values.shape[1]:
        raise ValueError(f"expected bounds for each of {values.shape[1]} objectives, got {len(bounds)}")
    columns = [_unit(column, bound) for column, bound in zip(values.T, bounds, strict=True)]
    return np.maximum(np.stack(columns, axis=1), 0.0)


def hypervolume(points: ArrayLike, bounds: Sequence[Bounds]) -> float:
    """Share in [0, 1] of the box of `bounds` that `points` `(n, m)` dominate; 0 for no points.

    A point beyond `high` in any objective counts for nothing, one better than `low` counts as `low`. Exact [Zitzler1998],
    by moocore. Raises: ValueError as `normalise`.
    """
    return float(moocore.hypervolume(normalise(points, bounds), ref=np.ones(len(bounds))))


def hypervolume_contributions(points: ArrayLike, bounds: Sequence[Bounds]) -> FloatArray:
    """What each of `points` `(n, m)`, m >= 2, adds to the hypervolume of the others; 0 for dominated and doubled ones.

    Raises: ValueError as `normalise`, and for a single objective.
    """
    unit = normalise(points, bounds)
    if len(unit) == 0:
        return np.empty(0)
    return np.asarray(moocore.hv_contributions(unit, ref=np.ones(len(bounds))), dtype=np.float64)


def _unit(values: FloatArray, bound: Bounds) -> FloatArray:
    if bound.log10:
        if (values < 0).any():
            raise ValueError(f"logarithmic bounds need values >= 0, got {values.min()}")
        # Zero is better than any low: it lands on the bound like everything else below it.
        values = np.log10(np.maximum(values, 10.0**bound.low))
    return (values - bound.low) / (bound.high - bound.low)
