"""One model out of a front: the smallest weighted loss against the best that the front offers.

The loss of an objective is 0 at the front's best value and 1 at its worst. A point's score is its largest weighted
loss: the achievement scalarising function [Wierzbicki1980], by pymoo. Points of equal score are distinguished by their
weighted sum of losses, then by the plain sum, so that a dominated point is never chosen.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from pymoo.decomposition.asf import ASF

from hwnas.pareto.points import FloatArray, as_points
from hwnas.pareto.scaling import losses as losses_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The chosen row and why: indices are rows and columns of the points that `choose` was given.

    `losses` `(m,)` in [0, 1] are the chosen point's, 0 the front's best and 1 its worst; `weights` `(m,)` sum to 1;
    `limiting` is the objective with the largest weighted loss, which a better choice would have to improve; `score`
    and `runner_up_score` are the smaller the better, `runner_up` None for a front of one.
    """

    index: int
    score: float
    losses: tuple[float, ...]
    weights: tuple[float, ...]
    limiting: int
    runner_up: int | None
    runner_up_score: float | None


def choose(points: ArrayLike, *, weights: Sequence[float], log: Sequence[bool]) -> Choice:
    """Choose one of the points `(n, m)`, n >= 1, for `weights` `(m,)` >= 0: twice the weight, half the loss accepted.

    `log[j]` says that objective j is size-like: its loss is measured between logarithms. An objective of weight 0 only
    breaks ties. Raises: ValueError for no points, values not finite, or weights that are negative, all 0 or not m.
    """
    values = as_points(points)
    if len(values) == 0:
        raise ValueError("expected at least one point to choose from, got none")
    shares = _shares(weights, values.shape[1])
    losses = losses_of(values, log)
    wanted = shares > 0
    # pymoo divides by its weights (they are the direction to walk from the ideal), so ours go in inverted.
    scores = ASF().do(losses[:, wanted], 1 / shares[wanted], _type="many_to_one")
    order = np.lexsort((losses.sum(axis=1), losses @ shares, scores))
    best = int(order[0])
    second = int(order[1]) if len(order) > 1 else None
    return Choice(
        index=best,
        score=float(scores[best]),
        losses=tuple(losses[best].tolist()),
        weights=tuple(shares.tolist()),
        limiting=int((shares * losses[best]).argmax()),
        runner_up=second,
        runner_up_score=None if second is None else float(scores[second]),
    )


def _shares(weights: Sequence[float], m: int) -> FloatArray:
    array = np.asarray(weights, dtype=np.float64)
    if array.shape != (m,) or not np.isfinite(array).all() or (array < 0).any() or not (array > 0).any():
        raise ValueError(f"expected {m} finite weights >= 0, at least one above 0, got {list(weights)}")
    array = array / array.max()  # or the sum of large ones would be infinite
    return np.asarray(array / array.sum(), dtype=np.float64)
