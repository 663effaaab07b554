"""The training loop."""

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from itertools import islice

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from hwnas.candidate import CurvePoint
from hwnas.data import Augmentation, DataSet, class_weights, step_count, training_batches
from hwnas.errors import StoreError
from hwnas.network import Network
from hwnas.settings import TrainerSettings
from hwnas.training.checkpoint import Checkpoint
from hwnas.training.evaluation import Evaluation
from hwnas.training.placement import device_of
from hwnas.training.schedule import Pace, head_tensors, learning_rate, optimiser_for
from hwnas.training.watching import Watch

Loss = Callable[[int, Tensor, Tensor, Tensor], Tensor]


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """What a training did: ``images`` shown so far, ``seconds`` taken, the last ``loss``, its ``curve``; ``checkpoint`` where it
    continues; the ``evaluation`` on validation data of what the network is now, where that was made."""

    images: int
    seconds: float
    loss: float
    curve: tuple[CurvePoint, ...] = ()
    checkpoint: Checkpoint | None = None
    evaluation: Evaluation | None = None


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
    metric: str = "error",
    first: Collection[str] = (),
) -> Training:
    """Train ``network`` in place, where its tensors are, on ``images`` images; the learning-rate schedule spans exactly these.
    Where the parts before were to have another number, the rest of the schedule is spread over the rest of the images.

    With a ``teacher`` the first ``settings.distil_share`` of the steps learn its soft answers [Hinton2015], given in eval mode;
    in them the parameters ``first``, if some are named, are trained alone, as the last layer over ``settings.head_share``. A
    training may be cut in parts, each ``until`` so many of the images and continuing from the last one's ``checkpoint``: the
    network is bit for bit that of one training in one go. ``metric`` says by which error the best tensors are chosen, if any are.
    Raises DivergedError within 32 steps of the loss ceasing to be finite.
    """
    started = time.monotonic()
    network.train()
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(name not in settings.frozen)
    steps, size = step_count(images, settings.batch_size), settings.batch_size
    begin, end = _part(checkpoint, steps, None if until is None else step_count(until, size))
    alone, alone_steps = _alone(network, settings, first if teacher is not None else (), steps)
    optimiser = optimiser_for(network, settings, alone)
    watched, place, pace = None, None, Pace(steps=steps)
    if checkpoint is not None:
        checkpoint.restore(network, optimiser)
        watched, place, pace = checkpoint.watched, checkpoint.place, checkpoint.pace.changed(begin, steps)
    watch = Watch(network, data, settings, steps=steps, metric=metric, before=watched)
    batches = training_batches(data, images=images, batch_size=size, augmentation=augmentation, generator=generator, place=place)
    batches.skip_to(begin)
    device = device_of(network)
    autocast = settings.precision == "bfloat16" or (settings.precision == "auto" and device.type == "cuda")
    loss_of = _loss(data, settings, network, teacher, steps, autocast=autocast)
    for step, (pixels, labels) in enumerate(islice(batches, end - begin), begin + 1):
        rate = learning_rate(settings, pace.at(step - 1), steps)
        for group in optimiser.param_groups:
            group["lr"] = 0.0 if step <= alone_steps and not group["is_first"] else rate
        pixels, labels = pixels.to(device).contiguous(memory_format=network.memory_format), labels.to(device)
        with torch.autocast(device.type, torch.bfloat16, enabled=autocast):
            logits = network(pixels)
        loss = loss_of(step, logits.float(), pixels, labels)
        optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        optimiser.step()
        if is_over := watch.after(step, loss):
            break
    found, left = watch.finish() if is_over else None, None
    if not is_over:
        place, watched = batches.place, watch.remembered()
        left = Checkpoint.of(network, optimiser, steps=step, pace=pace, place=place, watched=watched)
    seconds, curve = time.monotonic() - started, tuple(watch.curve)
    return Training(images=step * size, seconds=seconds, loss=loss.item(), curve=curve, checkpoint=left, evaluation=found)


def _alone(network: Network, settings: TrainerSettings, first: Collection[str], steps: int) -> tuple[Collection[str], int]:
    """The parameters that are trained alone at first, and over how many steps."""
    if settings.head_share:
        return head_tensors(network.graph), round(settings.head_share * steps)
    return first, round(settings.distil_share * steps) if first else 0


def _part(checkpoint: Checkpoint | None, steps: int, until: int | None) -> tuple[int, int]:
    """The steps between which to train. Raises StoreError for a checkpoint that lies behind the part's end."""
    begin, end = checkpoint.steps if checkpoint is not None else 0, steps if until is None else min(until, steps)
    if not 0 <= begin < end:
        raise StoreError(f"a training continues from a step before its end {end}, got a checkpoint of step {begin}")
    return begin, end


def _loss(
    data: DataSet, settings: TrainerSettings, network: Network, teacher: Network | None, steps: int, *, autocast: bool
) -> Loss:
    """The loss of step ``step`` (from 1) by its logits, images and labels: cross-entropy, mixed with or replaced by the
    distance from the teacher's answers while there is one to learn from."""
    device = device_of(network)
    weights = class_weights(data.train.labels, len(data.classes)).to(device) if settings.class_weighted else None
    distilled = 0 if teacher is None else round(settings.distil_share * steps)
    if teacher is not None:
        teacher.eval()

    def loss_of(step: int, logits: Tensor, pixels: Tensor, labels: Tensor) -> Tensor:
        taught = None
        if teacher is not None and step <= distilled:
            with torch.no_grad(), torch.autocast(device.type, torch.bfloat16, enabled=autocast):
                answers = teacher(pixels)
            taught = _distillation_loss(logits, answers.float(), settings.distil_temperature)
            if settings.distil_mix == 1:
                return taught
        loss = F.cross_entropy(logits, labels, weight=weights, label_smoothing=settings.label_smoothing)
        return loss if taught is None else torch.lerp(loss, taught, settings.distil_mix)

    return loss_of


def _distillation_loss(logits: Tensor, answers: Tensor, temperature: float) -> Tensor:
    """Soft cross-entropy with the teacher's logits at ``temperature``, scaled by its square [Hinton2015, section 2]."""
    return F.cross_entropy(logits / temperature, torch.softmax(answers / temperature, 1)) * temperature**2
