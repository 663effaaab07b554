"""How often a network is wrong, and how sure we are of it."""

from dataclasses import dataclass

import torch
from scipy.stats import binomtest

from hwnas.data import DataSet, Split, evaluation_batches
from hwnas.errors import DivergedError
from hwnas.network import Network

BATCH_SIZE = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """A network's errors on a split of ``images`` images.

    ``error`` is the share of wrong answers, ``low`` and ``high`` its 95 % Wilson interval, ``balanced_error`` the mean over the
    classes present of each class's share of wrong answers, ``loss`` the mean cross-entropy in nats.
    """

    error: float
    low: float
    high: float
    balanced_error: float
    loss: float
    images: int
    wrong: int


@torch.no_grad()
def evaluate(network: Network, data: DataSet, split: Split) -> Evaluation:
    """Evaluate ``network`` in eval mode on ``split``. Raises DivergedError where its logits are not finite."""
    network.eval()
    predicted, loss = [], 0.0
    for pixels, labels in evaluation_batches(data, split, BATCH_SIZE):
        logits = network(pixels.contiguous(memory_format=network.memory_format))
        if not torch.isfinite(logits).all():
            raise DivergedError("the network's logits are not finite in eval mode; lower the learning rate")
        predicted.append(logits.argmax(1))
        loss += torch.nn.functional.cross_entropy(logits, labels, reduction="sum").item()
    wrong = torch.cat(predicted) != split.labels
    count, total = int(wrong.sum()), len(split.labels)
    interval = binomtest(count, total).proportion_ci(0.95, method="wilson")
    present = torch.bincount(split.labels, minlength=len(data.classes)).double()
    per_class = torch.bincount(split.labels[wrong], minlength=len(data.classes)).double()
    balanced = float((per_class[present > 0] / present[present > 0]).mean())
    return Evaluation(
        error=count / total,
        low=interval.low,
        high=interval.high,
        balanced_error=balanced,
        loss=loss / total,
        images=total,
        wrong=count,
    )
