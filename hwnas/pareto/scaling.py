"""Logarithms of size-like objectives, which are compared by ratio; zeros included (our definition)."""

import numpy as np
from numpy.typing import ArrayLike

from hwnas.pareto.points import BoolArray, FloatArray, as_points


def log_flags(log: ArrayLike, points: FloatArray) -> BoolArray:
    """Return `log` as a mask `(m,)`, one flag for each objective of `points` `(n, m)`; raises ValueError otherwise."""
    flags = np.asarray(log, dtype=np.bool_)
    if flags.shape != points.shape[1:]:
        raise ValueError(f"expected one log flag for each of {points.shape[1]} objectives, got {flags.size}")
    return flags


def smallest_positive(points: ArrayLike) -> FloatArray:
    """Smallest value above 0 of each objective `(m,)`: where `log_scaled` puts zeros; 1 where none is above 0."""
    values = as_points(points)
    smallest = values.min(axis=0, initial=np.inf, where=values > 0)
    return np.where(np.isfinite(smallest), smallest, 1.0)


def log_scaled(points: ArrayLike, log: ArrayLike, zero: FloatArray) -> FloatArray:
    """Return points `(n, m)` with the natural logarithm of the objectives flagged in `log`, a 0 counting as `zero`.

    A topology without stored tensors has sensitivity 0, so zeros are real. Raises: ValueError for a negative value of
    a flagged objective.
    """
    values = as_points(points)
    flags = log_flags(log, values)
    if (values[:, flags] < 0).any():
        raise ValueError(f"a logarithmic objective must be >= 0, got {values[:, flags].min()}")
    scaled = values.copy()
    scaled[:, flags] = np.log(np.where(values > 0, values, zero)[:, flags])
    return scaled


def losses(points: ArrayLike, log: ArrayLike) -> FloatArray:
    """What each of points `(n, m)`, n >= 1, loses against the best value of each objective: 0 the best, 1 the worst one there is.

    Between logarithms where `log`; 0 throughout for an objective in which all points are alike.
    """
    values = as_points(points)
    scaled = log_scaled(values, log, smallest_positive(values))
    ideal, spread = scaled.min(axis=0), np.ptp(scaled, axis=0)
    return np.asarray((scaled - ideal) / np.where(spread > 0, spread, 1.0), dtype=np.float64)
