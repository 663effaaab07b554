"""How often a network is wrong, and how sure we are of it."""

from dataclasses import dataclass
from math import prod, sqrt
from statistics import NormalDist

import torch
from torch import Tensor

from hwnas.data import DataSet, Split, evaluation_batches
from hwnas.errors import DivergedError
from hwnas.network import Network
from hwnas.training.placement import device_of

BATCH_VALUES = 1024 * 3 * 32 * 32  # image values in a batch: what the maps of larger batches take, a worker may not have
Z_95 = NormalDist().inv_cdf(0.975)


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """A network's errors on a split of ``images`` images.

    ``error`` is the share of wrong answers, ``low`` and ``high`` its 95 % Wilson interval, ``balanced_error`` the mean over the
    classes present of each class's share of wrong answers, with its 95 % interval, ``loss`` the mean cross-entropy in nats.
    """

    error: float
    low: float
    high: float
    balanced_error: float
    balanced_low: float
    balanced_high: float
    loss: float
    images: int
    wrong: int

    def by(self, metric: str) -> tuple[float, float, float]:
        """The value of a metric (``error`` or ``balanced_error``) and the ends of its 95 % interval."""
        if metric == "balanced_error":
            return self.balanced_error, self.balanced_low, self.balanced_high
        return self.error, self.low, self.high


@torch.no_grad()
def evaluate(network: Network, data: DataSet, split: Split) -> Evaluation:
    """Evaluate ``network`` in eval mode on ``split``. Raises DivergedError where its logits are not finite."""
    network.eval()
    batches = evaluation_batches(data, split, max(1, min(1024, BATCH_VALUES // prod(data.shape))))
    device = device_of(network)
    # walked, not called: a walk lets go of each map when no later node reads it
    logits = [network.walk(images.to(device).contiguous(memory_format=network.memory_format)) for images, _ in batches]
    return evaluation_of(torch.cat(logits).cpu(), split.labels, len(data.classes))


def evaluation_of(logits: Tensor, labels: Tensor, classes: int) -> Evaluation:
    """Evaluate logits (n, classes) against labels (n,). Raises DivergedError where they are not finite."""
    if not torch.isfinite(logits).all():
        raise DivergedError("the network's logits are not finite in eval mode; lower the learning rate")
    wrong = logits.argmax(1) != labels
    count, total = int(wrong.sum()), len(labels)
    low, high = wilson_95(count, total)
    present = torch.bincount(labels, minlength=classes).double()
    per_class = torch.bincount(labels[wrong], minlength=classes).double()
    balanced, balanced_half = _balanced(per_class[present > 0], present[present > 0])
    return Evaluation(
        error=count / total,
        low=low,
        high=high,
        balanced_error=balanced,
        balanced_low=max(0.0, balanced - balanced_half),
        balanced_high=min(1.0, balanced + balanced_half),
        loss=torch.nn.functional.cross_entropy(logits, labels).item(),
        images=total,
        wrong=count,
    )


def error_of_guessing(labels: Tensor, metric: str) -> float:
    """The least value of a metric that one and the same answer for every image has: what a network must do better than."""
    present = torch.bincount(labels)
    return 1.0 - (1 / int((present > 0).sum()) if metric == "balanced_error" else int(present.max()) / len(labels))


def _balanced(wrong: Tensor, images: Tensor) -> tuple[float, float]:
    """The mean of the classes' shares (k,) and the half-width of its 95 % interval (our definition).

    The variance is that of a mean of independent shares, each as if one image more were right and one wrong [AgrestiCoull1998],
    so that a class without an error does not count as known for certain.
    """
    cautious = (wrong + 1) / (images + 2)
    variance = (cautious * (1 - cautious) / images).sum() / len(images) ** 2
    return float((wrong / images).mean()), Z_95 * sqrt(float(variance))


def wilson_95(count: int, total: int) -> tuple[float, float]:
    """The 95 % score interval of a share ``count / total`` [Wilson1927].

    Written out, for scipy.stats takes longer to import than a worker takes to train a small network.
    """
    share, z2 = count / total, Z_95**2
    centre = (share + z2 / (2 * total)) / (1 + z2 / total)
    half = Z_95 * sqrt(share * (1 - share) / total + z2 / (4 * total**2)) / (1 + z2 / total)
    return max(0.0, centre - half), min(1.0, centre + half)
