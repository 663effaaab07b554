"""Boxes: values that differ by less than an objective's resolution count as equal, as in the epsilon-Pareto archive of
[Laumanns2002]. That a resolution may be absolute, and how zeros are placed, is our definition.
"""

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from hwnas.pareto.points import FloatArray, as_points


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolution:
    """How finely one objective is compared.

    `size` is the edge e of a box in the objective's own unit, or, if `relative`, a fraction (0.1 is 10 %);
    size 0 compares exact values. Raises: ValueError for a size that is negative or not finite.
    """

    size: float = 0.0
    relative: bool = False

    def __post_init__(self) -> None:
        if not (math.isfinite(self.size) and self.size >= 0):
            raise ValueError(f"a resolution must be a finite number >= 0 (0 compares exactly), got {self.size}")


def boxes(points: ArrayLike, resolutions: Sequence[Resolution]) -> FloatArray:
    """Box indices `(n, m)` of `points` `(n, m)`: floor(v / e), or floor(log v / log(1 + e)) where e is relative.

    Monotone in every value, so a point never has a smaller box than one that dominates it. A zero of a relative
    objective lies in a box of its own below all others. Size 0 gives the value itself.

    Raises: ValueError for values that are not finite, or negative where the resolution is relative.
    """
    values = as_points(points)
    if len(resolutions) != values.shape[1]:
        raise ValueError(f"expected one resolution for each of {values.shape[1]} objectives, got {len(resolutions)}")
    columns = [_column(column, resolution) for column, resolution in zip(values.T, resolutions, strict=True)]
    return np.stack(columns, axis=1)


def _column(values: FloatArray, resolution: Resolution) -> FloatArray:
    if resolution.size == 0:
        return values
    if not resolution.relative:
        return np.floor(values / resolution.size)
    width = math.log1p(resolution.size)
    return np.array([_relative_box(value, width) for value in values.tolist()], dtype=np.float64)


def _relative_box(value: float, width: float) -> float:
    # math.log and not numpy's: numpy may take another code path for an array than for one value, and at the edge
    # of a box the last digit would then decide whether the archive agrees with front().
    if value < 0:
        raise ValueError(f"a relative resolution needs values >= 0, got {value}; use an absolute resolution")
    return math.floor(math.log(value) / width) if value > 0 else -sys.float_info.max
