"""The learning rate over a training, and which tensors weight decay pulls on."""

import math
from dataclasses import dataclass
from typing import Any

import torch

from hwnas.network import Network
from hwnas.settings import TrainerSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """Where a training of ``steps`` steps is on its schedule, of which ``share`` was done at step ``since``.

    The number of steps may change on the way, to keep to a time: what is left of the schedule is then spread over the new rest.
    """

    steps: int
    since: int = 0
    share: float = 0.0

    def at(self, step: int) -> float:
        """The place of a step on the schedule, counted as if every step had this pace; the step itself where the pace never
        changed."""
        if self.since == 0:
            return step
        return self.steps * (self.share + (1 - self.share) * (step - self.since) / (self.steps - self.since))

    def changed(self, step: int, steps: int) -> "Pace":
        """The pace from this step on in a training that is to have ``steps`` steps now."""
        return self if steps == self.steps else Pace(steps=steps, since=step, share=self.at(step) / self.steps)


def learning_rate(settings: TrainerSettings, step: float, steps: int) -> float:
    """The rate of step ``step`` (from 0) of ``steps``.

    It rises linearly over the first ``warm_up`` of the steps; then it is constant, or falls to 0 linearly or along half a cosine
    [Loshchilov2017, without restarts].
    """
    rising = settings.warm_up * steps
    if step < rising:
        return settings.learning_rate * (step + 1) / (rising + 1)
    done, left = step - rising, steps - rising
    match settings.schedule:
        case "constant":
            return settings.learning_rate
        case "linear":
            return settings.learning_rate * (1 - done / left)
        case "cosine":
            return settings.learning_rate * 0.5 * (1 + math.cos(math.pi * done / left))


def optimiser_for(network: Network, settings: TrainerSettings) -> torch.optim.Optimizer:
    """The optimiser of a network's parameters.

    Unless ``decay_vectors``, weight decay pulls on weights alone, not on batch norms and biases, as usual since [He2019].
    """
    parameters = list(network.parameters())
    pulled = [each for each in parameters if settings.decay_vectors or each.dim() > 1]
    free = [each for each in parameters if not settings.decay_vectors and each.dim() <= 1]
    groups: list[dict[str, Any]] = [{"params": pulled}, {"params": free, "weight_decay": 0.0}] if free else [{"params": pulled}]
    # Fused: one operation for all tensors. Small networks are bound by the number of operations.
    if settings.optimiser == "adamw":
        return torch.optim.AdamW(groups, lr=settings.learning_rate, weight_decay=settings.weight_decay, fused=True)
    return torch.optim.SGD(
        groups,
        lr=settings.learning_rate,
        momentum=settings.momentum,
        nesterov=settings.momentum > 0,
        weight_decay=settings.weight_decay,
        fused=True,
    )
