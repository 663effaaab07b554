"""What a network predicts for images, and the effect of a fault on the predictions."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

DUE = -1  # a detected unrecoverable error, in place of a class: some logit is not finite, which a device can detect
MASKED = 1e-5  # of the largest clean logit: smaller changes count as none

Classes = NDArray[np.int16]


@dataclass(frozen=True, slots=True, kw_only=True)
class Predictions:
    """Class of each image (n,), DUE where a logit is not finite; ``masked`` (n,): no logit changed visibly."""

    classes: Classes
    masked: NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultEffect:
    """What one fault did to some images.

    ``drop`` in points of accuracy, gains negative; the others are shares in [0, 1]: ``changed`` of top-1 answers (the
    classification change rate), ``unrecoverable`` (DUE, also counted as changed and as wrong), ``masked``.
    """

    drop: float
    changed: float
    unrecoverable: float
    masked: float


def classes_of(logits: NDArray[np.float32]) -> Classes:
    """Top-1 class of logits (n, classes), the first of equals; DUE where one is not finite."""
    answers: Classes = logits.argmax(1).astype(np.int16)
    answers[~np.isfinite(logits).all(1)] = DUE
    return answers


def masked_rows(logits: NDArray[np.float32], clean: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Images (n,) whose logits (n, classes) moved by at most 1e-5 of the largest clean one."""
    with np.errstate(invalid="ignore", over="ignore"):
        return np.asarray(np.abs(logits - clean).max(1) <= MASKED * np.abs(clean).max(1))


def effect(faulty: Predictions, clean: Classes, labels: NDArray[np.int64]) -> FaultEffect:
    """The effect of a fault, all (n,) over the same images."""
    return FaultEffect(
        drop=100.0 * (_share(clean == labels) - _share(faulty.classes == labels)),
        changed=_share(faulty.classes != clean),
        unrecoverable=_share(faulty.classes == DUE),
        masked=_share(faulty.masked),
    )


def _share(hits: NDArray[np.bool_]) -> float:
    """The mean, in a fifth of `ndarray.mean`'s time."""
    return int(np.count_nonzero(hits)) / len(hits)
