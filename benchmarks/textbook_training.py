"""Textbook networks trained as well as an ordinary recipe does it in a given time, in plain PyTorch.

Recipe: SGD with Nesterov momentum 0.9; the learning rate rises to its peak over the first tenth of the *time* and falls in a
straight line to 0 at its end; weight decay on convolution and linear weights only; the shifts and flips that suit the data.
Layout channels-last; bfloat16 autocast where a few steps of it are faster on this machine than in float32.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hwnas.data import DataSet, Split, default_augmentation, evaluation_batches, training_batches

ENDLESS = 10**12
TRIAL_STEPS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What there is to choose in the recipe; the defaults are those that gave the least validation errors (see textbook.py)."""

    peak: float = 0.2
    warm_up: float = 0.1
    batch_size: int = 128
    weight_decay: float = 5e-4
    label_smoothing: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """What a training took: images shown, seconds by its clock, steps, whether in bfloat16."""

    images: int
    seconds: float
    steps: int
    bfloat16: bool


def learning_rate(recipe: Recipe, progress: float) -> float:
    """The rate at a share ``progress``, 0 to 1, of the time."""
    rising, falling = progress / recipe.warm_up, (1 - progress) / (1 - recipe.warm_up)
    return recipe.peak * max(0.0, min(rising, falling))


def train_for(
    network: nn.Module,
    data: DataSet,
    seconds: float,
    *,
    recipe: Recipe,
    generator: torch.Generator,
    bfloat16: bool,
    clock: Callable[[], float] = time.monotonic,
) -> Trained:
    """Train ``network`` in place until ``clock`` has advanced by ``seconds``; at least one step."""
    network.train()
    optimiser = optimiser_for(network, recipe)
    started, steps, elapsed = clock(), 0, 0.0
    for pixels, labels in batches(data, recipe, generator):
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(recipe, elapsed / seconds)
        train_step(network, optimiser, pixels, labels, recipe=recipe, bfloat16=bfloat16)
        steps, elapsed = steps + 1, clock() - started
        if elapsed >= seconds:
            break
    return Trained(images=steps * recipe.batch_size, seconds=elapsed, steps=steps, bfloat16=bfloat16)


def channels_last(network: nn.Module) -> nn.Module:
    """The network, its weights laid out as a CPU computes them fastest."""
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def batches(data: DataSet, recipe: Recipe, generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
    """Augmented batches without end."""
    return training_batches(
        data,
        images=ENDLESS,
        batch_size=recipe.batch_size,
        augmentation=default_augmentation(data),
        generator=generator,
    )


def train_step(
    network: nn.Module,
    optimiser: torch.optim.Optimizer,
    pixels: Tensor,
    labels: Tensor,
    *,
    recipe: Recipe,
    bfloat16: bool,
) -> None:
    """One step on images (n, C, H, W) and labels (n,)."""
    with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
        logits = network(pixels.contiguous(memory_format=torch.channels_last))
    loss = F.cross_entropy(logits.float(), labels, label_smoothing=recipe.label_smoothing)
    optimiser.zero_grad(set_to_none=True)
    torch.autograd.backward(loss)
    optimiser.step()


def optimiser_for(network: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """SGD that decays weights of two dimensions or more and leaves batch norms and biases alone."""
    decayed = [parameter for parameter in network.parameters() if parameter.dim() > 1]
    free = [parameter for parameter in network.parameters() if parameter.dim() <= 1]
    groups = [{"params": decayed, "weight_decay": recipe.weight_decay}, {"params": free, "weight_decay": 0.0}]
    return torch.optim.SGD(groups, lr=recipe.peak, momentum=0.9, nesterov=True, fused=True)


def bfloat16_is_faster(make: Callable[[], nn.Module], data: DataSet, recipe: Recipe) -> bool:
    """Whether the fastest of a few training steps takes less CPU time in bfloat16 than in float32, tried on a new network.

    CPU time, which one thread spends alike on a busy machine.
    """
    fastest = {False: float("inf"), True: float("inf")}
    network = channels_last(make()).train()
    optimiser = optimiser_for(network, recipe)
    for pixels, labels in batches(data, recipe, torch.Generator().manual_seed(0)):
        for bfloat16 in fastest:
            for _ in range(TRIAL_STEPS):
                started = time.process_time()
                train_step(network, optimiser, pixels, labels, recipe=recipe, bfloat16=bfloat16)
                fastest[bfloat16] = min(fastest[bfloat16], time.process_time() - started)
        break
    return fastest[True] < fastest[False]


@torch.no_grad()
def error(network: nn.Module, data: DataSet, split: Split) -> float:
    """The share of wrong answers on a split, in eval mode and float32."""
    network.eval()
    wrong = sum(int((network(pixels).argmax(1) != labels).sum()) for pixels, labels in evaluation_batches(data, split, 256))
    return wrong / len(split)
