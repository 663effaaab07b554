"""Weights for classes of unequal size."""

import torch


def class_weights(labels: torch.Tensor, classes: int) -> torch.Tensor:
    """Return a weight for each class, float32 (classes,), inverse to its frequency in `labels`, int64 (n,).

    The weights of the classes that occur have mean 1; a class that does not occur has weight 0.
    """
    counts = torch.bincount(labels, minlength=classes).float()
    weights = torch.where(counts > 0, 1 / counts.clamp(min=1), 0.0)
    return weights * (counts > 0).sum() / weights.sum()
