"""Several networks of a run that answer together: which ones, by forward selection on the validation images.

1. Every network's class probabilities for the validation images are computed from its kept weights.
2. The one with the least mean negative log-likelihood (NLL) within the limit begins.
3. Always the network is added whose probabilities, averaged with those chosen, give the least NLL; none is taken twice, and the
   sum of their latencies stays within the limit. It ends at the size asked for, or where no network lowers the NLL.

Forward selection is [Caruana2004]'s, over networks that an evolution found as in Neural Ensemble Search [Zaidi2021]; without
replacement, and the latency limit, is our definition.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import log_softmax

from hwnas.data import DataSet, Split, evaluation_batches
from hwnas.network import Network
from hwnas.training.confidence import calibration_error
from hwnas.training.evaluation import evaluation_of

BATCH = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """How good answers are on ``images`` images: ``error`` with its 95 % interval, ``nll`` the mean negative log-likelihood in
    nats, ``calibration_error`` the expected one, a share in [0, 1]."""

    error: float
    low: float
    high: float
    nll: float
    calibration_error: float
    images: int


@torch.no_grad()
def log_probabilities(network: Network, data: DataSet, split: Split) -> Tensor:
    """Of every class for every image of a split: float32 (n, classes)."""
    network.eval()
    return log_softmax(torch.cat([network(images) for images, _ in evaluation_batches(data, split, BATCH)]), dim=1)


def together(members: Sequence[Tensor]) -> Tensor:
    """The logarithm of the mean of the members' probabilities, from their logarithms (n, classes)."""
    return torch.logsumexp(torch.stack(list(members)), dim=0) - math.log(len(members))


def scores(answers: Tensor, labels: Tensor) -> Scores:
    """What answers, log probabilities (n, classes), are worth. Raises DivergedError where they are not finite."""
    found = evaluation_of(answers, labels, answers.shape[1])
    return Scores(
        error=found.error,
        low=found.low,
        high=found.high,
        nll=found.loss,
        calibration_error=calibration_error(answers, labels),
        images=len(labels),
    )


def forward_selection(
    answers: Mapping[str, Tensor],
    labels: Tensor,
    size: int,
    latencies: Mapping[str, float] | None = None,
    most_ms: float = math.inf,
) -> tuple[str, ...]:
    """Ids of the networks chosen, in the order in which they were (2. and 3.); none where none is within the limit.

    ``answers`` are log probabilities (n, classes) by id, ``latencies`` milliseconds by id, whose sum is at most ``most_ms``.
    """
    chosen: tuple[str, ...] = ()
    least = math.inf
    while len(chosen) < size:
        left_ms = most_ms - sum(latencies[name] for name in chosen) if latencies is not None else math.inf
        tried = {
            name: float(torch.nn.functional.nll_loss(together([answers[each] for each in (*chosen, name)]), labels))
            for name in answers
            if name not in chosen and (latencies is None or latencies[name] <= left_ms)
        }
        best = min(tried, key=lambda name: (tried[name], name), default=None)
        if best is None or not tried[best] < least:
            break
        chosen, least = (*chosen, best), tried[best]
    return chosen
