"""Points from best to worst, where only some can be kept."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from hwnas.pareto.boxes import Resolution, boxes
from hwnas.pareto.dominance import ranks
from hwnas.pareto.indicators import Bounds, hypervolume_contributions
from hwnas.pareto.points import FloatArray, IntArray, as_points
from hwnas.pareto.scaling import log_scaled, smallest_positive

MARGIN = 0.1  # of an objective's range, from its worst value to the reference: the ends of a front count for something


def best_first(points: ArrayLike, resolutions: Sequence[Resolution], *, log: Sequence[bool]) -> IntArray:
    """Indices `(n,)` of `points` `(n, m)`, m >= 2, the best first.

    By non-dominated rank of their boxes; of one rank that point goes last whose loss costs least hypervolume, then the same among
    the others, one at a time, as in the reduction step of SMS-EMOA ([Beume2007], from memory). The volume is taken in the
    points' own ranges, of logarithms where `log` (our definition). A point stands before all that it dominates; the order of the
    input decides between equal points only. Raises: ValueError as `boxes`, or for negative values where `log`.
    """
    values = as_points(points)
    by_value = np.lexsort(values.T[::-1])
    values = values[by_value]
    scaled = log_scaled(values, log, smallest_positive(values))
    bounds = [_bounds(column) for column in scaled.T]
    rank = ranks(boxes(values, resolutions))
    worst_first: list[int] = []
    for number in sorted(set(rank.tolist()), reverse=True):
        left = np.flatnonzero(rank == number).tolist()
        while left:
            contributions = hypervolume_contributions(scaled[left], bounds).tolist()
            worst_first.append(left.pop(min(range(len(left)), key=lambda index: (contributions[index], -index))))
    return np.asarray(by_value[worst_first[::-1]], dtype=np.int64)


def _bounds(column: FloatArray) -> Bounds:
    low, high = float(column.min()), float(column.max())
    return Bounds(low=low, high=high + (MARGIN * (high - low) or 1.0))
