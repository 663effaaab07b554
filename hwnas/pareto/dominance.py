"""Pareto dominance: a dominates b when it is nowhere worse and somewhere better."""

import moocore
import numpy as np
from numpy.typing import ArrayLike

from hwnas.pareto.points import BoolArray, IntArray, as_points


def non_dominated(points: ArrayLike) -> BoolArray:
    """Mask `(n,)` of the points `(n, m)` that no other point dominates; equal points are all kept.

    Raises: ValueError for values that are not finite.
    """
    values = as_points(points)
    return np.asarray(moocore.is_nondominated(values, keep_weakly=True), dtype=np.bool_)


def ranks(points: ArrayLike) -> IntArray:
    """Non-dominated rank `(n,)` of each point `(n, m)`: 0 is the front, 1 the front once rank 0 is taken away, ...

    Raises: ValueError for values that are not finite.
    """
    values = as_points(points)
    if len(values) == 0:
        return np.empty(0, dtype=np.int64)
    return np.asarray(moocore.pareto_rank(values), dtype=np.int64)
