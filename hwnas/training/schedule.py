"""The learning rate over a training, which tensors it moves, and which of them weight decay pulls on."""

import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from hwnas.graph import Graph
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


def optimiser_for(network: Network, settings: TrainerSettings, first: Collection[str] = ()) -> torch.optim.Optimizer:
    """The optimiser of a network's parameters, without those that are frozen.

    Unless ``decay_vectors``, weight decay pulls on weights alone, not on batch norms and biases, as usual since [He2019]. Each
    group says whether its parameters are among ``first``, which begin alone (``is_first``).
    """
    kinds: dict[tuple[bool, bool], list[Tensor]] = {}  # by whether they begin alone, and are free of decay
    for name, parameter in network.named_parameters():
        if name not in settings.frozen:
            is_free = not settings.decay_vectors and parameter.dim() <= 1
            kinds.setdefault((name in first, is_free), []).append(parameter)
    groups: list[dict[str, Any]] = [
        {"params": found, "is_first": is_first, **({"weight_decay": 0.0} if is_free else {})}
        for (is_first, is_free), found in sorted(kinds.items(), key=lambda item: item[0])
    ]
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


def head_tensors(graph: Graph) -> frozenset[str]:
    """The parameters of the last layer that has some."""
    number, parameters = graph.output, graph.parameters()
    while graph[number].inputs:
        if found := frozenset(name for name in parameters if name.startswith(f"{number}.")):
            return found
        number = graph[number].inputs[0]
    return frozenset()
