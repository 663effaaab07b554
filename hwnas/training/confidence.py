"""How much a classifier's probabilities can be trusted."""

import torch
from torch import Tensor

BINS = 15  # of [Guo2017]


def calibration_error(log_probabilities: Tensor, labels: Tensor, bins: int = BINS) -> float:
    """The expected calibration error in [0, 1] [Guo2017]: by how much confidence and accuracy differ, over bins of confidence.

    Args:
        log_probabilities: (n, classes), n >= 1; each row's exponentials sum to 1.
        labels: int64 (n,).
        bins: of equal width over confidences from 0 to 1; each counts by the images in it.
    """
    confidence, answer = log_probabilities.double().exp().max(1)
    right = (answer == labels).double()
    place = (confidence * bins).ceil().long().clamp(1, bins) - 1
    gaps = torch.zeros(bins, dtype=torch.float64).index_add(0, place, right - confidence)
    return float(gaps.abs().sum() / len(labels))
