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
