"""The learning curve of a training as a tensor, as checkpoints hold it."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from hwnas.candidate import CurvePoint


def curve_tensor(curve: Sequence[CurvePoint]) -> Tensor:
    """A curve as a tensor float64 (n, 3), NaN where there is no error."""
    rows = [(point.images, point.loss, math.nan if point.error is None else point.error) for point in curve]
    return torch.tensor(rows, dtype=torch.float64).reshape(len(rows), 3)


def curve_of(tensor: Tensor) -> tuple[CurvePoint, ...]:
    """The curve that ``curve_tensor`` gave."""
    return tuple(
        CurvePoint(images=int(images), loss=loss, error=None if math.isnan(error) else error)
        for images, loss, error in tensor.tolist()
    )
