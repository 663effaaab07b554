"""The one gate for arrays of objective values: `(n, m)`, minimised, finite."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]


def as_points(points: ArrayLike) -> FloatArray:
    """Return `points` as a float64 array of shape `(n, m)`, m >= 1, all values finite.

    Raises: ValueError, because a NaN compares false with everything and would never be dominated.
    """
    array = np.asarray(points, dtype=np.float64)
    if array.ndim != 2 or array.shape[1] == 0:
        raise ValueError(f"expected points of shape (n, m) with m >= 1, got shape {array.shape}")
    if not np.isfinite(array).all():
        row, column = np.argwhere(~np.isfinite(array))[0]
        raise ValueError(
            f"objective values must be finite, but point {row} has {array[row, column]} for objective {column}; "
            "a candidate without a value is a failure, not a point"
        )
    return array
