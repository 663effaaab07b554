"""The training loop."""

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from hwnas.data import Augmentation, DataSet, class_weights, step_count, training_batches
from hwnas.errors import DivergedError, StoreError
from hwnas.network import Network
from hwnas.settings import TrainerSettings
from hwnas.training.checkpoint import Checkpoint
from hwnas.training.placement import device_of

# How often the loop looks at its loss.
CHECK_EVERY = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """What a training did: ``images`` shown so far, ``seconds`` taken, the last ``loss``; ``checkpoint`` where it goes on."""

    images: int
    seconds: float
    loss: float
    checkpoint: Checkpoint | None = None


def train(
    network: Network,
    data: DataSet,
    *,
    settings: TrainerSettings,
    augmentation: Augmentation,
    images: int,
    generator: Generator,
    teacher: Network | None = None,
    checkpoint: Checkpoint | None = None,
    until: int | None = None,
) -> Training:
    """Train ``network`` in place, where its tensors are, on ``images`` images; the learning-rate schedule spans exactly these.

    With a ``teacher`` the first ``settings.distil_share`` of the steps learn its soft answers [Hinton2015], given in eval mode.
    A training may be cut in parts, each ``until`` so many of the images and going on from the last one's ``checkpoint``: the
    network is bit for bit that of one training in one go. Raises DivergedError within 32 steps of the loss ceasing to be finite.
    """
    started = time.monotonic()
    network.train()
    if teacher is not None:
        teacher.eval()
    steps = step_count(images, settings.batch_size)
    begin, end = _part(checkpoint, steps, None if until is None else step_count(until, settings.batch_size))
    distilled = round(settings.distil_share * steps) if teacher is not None else 0
    optimiser = _optimiser(network, settings)
    if checkpoint is not None:
        checkpoint.restore(network, optimiser, generator)
    stream = generator.get_state()
    device = device_of(network)
    weights = class_weights(data.train.labels, len(data.classes)).to(device) if settings.class_weighted else None
    batches = training_batches(
        data, images=images, batch_size=settings.batch_size, augmentation=augmentation, generator=generator
    )
    autocast = settings.precision == "bfloat16" or (settings.precision == "auto" and device.type == "cuda")
    for step, (pixels, labels) in enumerate(islice(batches, begin, end), begin + 1):
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(settings, step - 1, steps)
        pixels, labels = pixels.to(device).contiguous(memory_format=network.memory_format), labels.to(device)
        with torch.autocast(device.type, torch.bfloat16, enabled=autocast):
            logits = network(pixels)
        if teacher is not None and step <= distilled:
            loss = _distillation_loss(logits.float(), teacher, pixels, settings.distil_temperature)
        else:
            loss = F.cross_entropy(logits.float(), labels, weight=weights, label_smoothing=settings.label_smoothing)
        optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        optimiser.step()
        if step % CHECK_EVERY == 0 or step == end:
            _check(loss, step)
    left = Checkpoint.of(network, optimiser, stream, end) if end < steps else None
    seconds = time.monotonic() - started
    return Training(images=end * settings.batch_size, seconds=seconds, loss=loss.item(), checkpoint=left)


def _part(checkpoint: Checkpoint | None, steps: int, until: int | None) -> tuple[int, int]:
    """The steps between which to train. Raises StoreError for a checkpoint that lies behind the part's end."""
    begin, end = checkpoint.steps if checkpoint is not None else 0, steps if until is None else min(until, steps)
    if not 0 <= begin < end:
        raise StoreError(f"a training goes on from a step before its end {end}, got a checkpoint of step {begin}")
    return begin, end


def learning_rate(settings: TrainerSettings, step: int, steps: int) -> float:
    """The rate of step ``step`` (from 0): constant, or half a cosine down to 0 [Loshchilov2017, without restarts]."""
    if settings.schedule == "constant":
        return settings.learning_rate
    return settings.learning_rate * 0.5 * (1 + math.cos(math.pi * step / steps))


def _optimiser(network: Network, settings: TrainerSettings) -> torch.optim.Optimizer:
    # Fused: one operation for all tensors. Small networks are bound by the number of operations.
    parameters: Iterator[Tensor] = network.parameters()
    if settings.optimiser == "adamw":
        return torch.optim.AdamW(parameters, lr=settings.learning_rate, weight_decay=settings.weight_decay, fused=True)
    return torch.optim.SGD(
        parameters,
        lr=settings.learning_rate,
        momentum=settings.momentum,
        nesterov=settings.momentum > 0,
        weight_decay=settings.weight_decay,
        fused=True,
    )


def _distillation_loss(logits: Tensor, teacher: Network, pixels: Tensor, temperature: float) -> Tensor:
    """Soft cross-entropy with the teacher's answers at ``temperature``, scaled by its square [Hinton2015, section 2]."""
    with torch.no_grad():
        answers = torch.softmax(teacher(pixels) / temperature, 1)
    return F.cross_entropy(logits / temperature, answers) * temperature**2


def _check(loss: Tensor, step: int) -> None:
    value = loss.item()
    if not math.isfinite(value):
        raise DivergedError(f"the training loss became {value} by step {step}; lower the learning rate (trainer.learning_rate)")
