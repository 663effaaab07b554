"""What flips can be expected to do to a trained network's answers, without one being injected (our definition).

To first order a word that changes by d moves an image's margin m (its largest logit minus the second) by g d, where g is the
margin's gradient. The square of that in units of the margin, at most 1, added up over all bits of all words, is the image's

    S(x) = sum over words w and their bits b of min(1, (g_w(x) d_wb / m(x))^2)

Of activations the words are those of the stored feature maps; the image and the logits, which every network has alike, are left
out as in the architecture sensitivity index (METHODS.md section 3): on GTSRB the image's flips were a quarter of a ResNet's
expected change and 0.6 of the same one's with bounded activations, and hid what the network did.

Flips are independent, so at a bit error rate p the expected squared change of a device's answer is p S(x), and since an answer
changes but once, min(1, p S(x)) is taken for how likely it does. The network's expected change is per unit of bit error rate, at
the rate where one answer in twenty changes:

    0.05 / p where the mean over images of min(1, p S(x)) is 0.05

For one flip it is the mean of S(x), the limit of low rates; most of that comes from the few images whose answer hangs by a
thread, which say little of a device that still has to lose a point: on 21 networks of GTSRB (ten classes, one training each)
the mean ranked what they tolerate at rho -0.76, this at -0.91; half of the images ranked them as the other half does at 0.84
and 0.97. What first order does not see: flips that wake a dead ReLU, and those that help.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hwnas.deployed.program import Program
from hwnas.graph import Graph
from hwnas.resilience import INT8, INT32, Format

Exact = NDArray[np.float64]
Floats = NDArray[np.floating]
LEAST_MARGIN = 1e-6
IMAGES = 256
HELD = 2**22  # values of stored tensors held at a time
SHARE = 0.05  # of the answers, at whose change the rate is read
LEAST = 1e-6  # a network without gradients: the objective is compared by its logarithm


def expected_change(
    graph: Graph, state: Mapping[str, Tensor], images: Tensor, *, mean: tuple[float, ...], std: tuple[float, ...]
) -> float:
    """The objective ``expected_change``, above 0: that of a trained network's activations as int8.

    ``images`` are training images uint8 (n, C, H, W), of which 256 are taken, evenly spread.
    """
    chosen = torch.linspace(0, len(images) - 1, min(IMAGES, len(images))).long()
    program = Program.of(graph, state, mean=mean, std=std)
    return max(per_rate(activation_changes(program, images[chosen].float() / 255, INT8)), LEAST)


def per_rate(changes: Exact) -> float:
    """The expected change per unit of bit error rate where one answer in twenty changes; ``changes`` are S(x) (n,).

    The k largest count as 1 there and the others in proportion to the rate: k + p * (their sum) = 0.05 n.
    """
    ordered = np.sort(changes)[::-1]
    wanted, sums = SHARE * len(ordered), np.cumsum(ordered[::-1])[::-1]
    certain = np.arange(math.ceil(wanted))
    most = int(np.argmax((wanted - certain) * ordered[certain] <= sums[certain]))  # the first k at which no other reaches 1
    return float(SHARE * sums[most] / (wanted - most))


def weight_changes(program: Program, images: Tensor, layout: Format) -> Exact:
    """S(x) over the bits of the weights and biases, stored in ``layout``, (n,) for images (n, C, H, W) in [0, 1].

    ``program`` holds float32 weights. As int8, weights have one scale a filter and biases are int32, as in exported files.
    """
    return _sum(weight_parts(program, images, layout), len(images))


def weight_parts(program: Program, images: Tensor, layout: Format) -> dict[str, Exact]:
    """``weight_changes`` by the weights and biases that they come from, by name."""
    leaves = {name: weight.clone().requires_grad_() for name, weight in program.weights.items()}
    units = _weight_units(program, images) if layout is INT8 else {}
    moves = {name: _weight_moves(name, weight, layout, units.get(name)) for name, weight in program.weights.items()}
    found = {name: np.zeros(len(images)) for name in leaves}
    for place, image in enumerate(images):
        margin = _margins(program.run(image[None], leaves))
        gradients = torch.autograd.grad(margin.sum(), list(leaves.values()))
        for name, gradient in zip(leaves, gradients, strict=True):
            found[name][place] = _expected(_ratio(gradient.reshape(1, -1), margin), moves[name])[0]
    return found


def activation_changes(program: Program, images: Tensor, layout: Format) -> Exact:
    """S(x) over the bits of all stored feature maps, stored in ``layout``, (n,) for images (n, C, H, W) in [0, 1]."""
    return _sum(activation_parts(program, images, layout), len(images))


def activation_parts(program: Program, images: Tensor, layout: Format) -> dict[str, Exact]:
    """``activation_changes`` by the stored feature maps that they come from, by name."""
    steps = _steps(program, images) if layout is INT8 else []
    found: dict[str, list[Exact]] = {step.name: [] for step in program.steps[1:-1]}
    for batch in _batches(program, images):
        values: list[Tensor] = []

        def kept(number: int, value: Tensor, values: list[Tensor] = values) -> Tensor:
            values.append(value.detach().requires_grad_() if number == 0 else value)
            return values[-1]

        margins = _margins(program.run(batch, disturb=kept))
        maps = values[1:-1]  # neither the image nor the logits
        gradients = torch.autograd.grad(margins.sum(), maps) if maps else ()
        for number, (value, gradient) in enumerate(zip(maps, gradients, strict=True), 1):
            # an integer's bit is worth the same wherever it flips
            moves = _powers(steps[number]) if layout is INT8 else _moves(value.detach().flatten(1).numpy(), layout)
            found[program.steps[number].name].append(_expected(_ratio(gradient.flatten(1), margins), moves))
    return {name: np.concatenate(parts) for name, parts in found.items()}


def _sum(parts: Mapping[str, Exact], images: int) -> Exact:
    total = np.zeros(images)
    for part in parts.values():
        total += part
    return total


def _batches(program: Program, images: Tensor) -> Sequence[Tensor]:
    return torch.split(images, max(1, HELD // sum(step.tensor.elements for step in program.steps)))


def _margins(logits: Tensor) -> Tensor:
    """Largest logit minus the second, (n,)."""
    top = logits.topk(2, dim=1).values
    return top[:, 0] - top[:, 1]


def _ratio(gradients: Tensor, margins: Tensor) -> Floats:
    """Margins lost for a unit's change of each word, (n, words)."""
    ratios: Floats = (gradients / margins.detach()[:, None].clamp(min=LEAST_MARGIN)).numpy()
    return ratios


def _expected(ratios: Floats, moves: Iterable[Floats | float]) -> Exact:
    """The sum over bits and words of what is expected of a flip, (n,); for each bit, how far it moves the words (n, k)."""
    total = np.zeros(len(ratios))
    with np.errstate(invalid="ignore", over="ignore"):
        for move in moves:
            # NaN, of a word that becomes infinite, counts as 1
            total += np.fmin(1.0, (ratios * move) ** 2).sum(1, dtype=np.float64)
    return total


def _powers(step: float) -> list[float]:
    """How far each bit of an 8-bit activation moves it."""
    return [step * 2.0**bit for bit in range(INT8.bits)]


def _moves(values: NDArray[np.float32], layout: Format) -> Iterator[Exact]:
    """How far each word (..) moves if this bit of it flips, for each bit."""
    stored = layout.encode(values)
    before = layout.decode(stored).astype(np.float64)
    for bit in range(layout.bits):
        with np.errstate(invalid="ignore"):  # a flip may make a signalling NaN
            yield np.asarray(layout.decode(layout.flip(stored, layout.mask(bit))).astype(np.float64) - before)


def _weight_moves(name: str, weight: Tensor, layout: Format, units: Exact | None) -> Sequence[Exact]:
    """How far each word of a weight moves, for each bit; ``units`` are worths of last bits, of integers alone."""
    if units is None:
        return list(_moves(weight.numpy().reshape(-1), layout))
    bits = (INT32 if name.endswith("bias") else INT8).bits
    return [np.ldexp(units, bit) for bit in range(bits)]


def _weight_units(program: Program, images: Tensor) -> Mapping[str, Exact]:
    """What the last bit of each word is worth as int8 weight and int32 bias."""
    steps = _steps(program, images)
    units: dict[str, Exact] = {}
    for step in program.steps:
        if step.weight not in program.weights:
            continue
        weight = program.weights[step.weight].numpy().astype(np.float64)
        filters = np.maximum(np.abs(weight.reshape(len(weight), -1)).max(1), 1e-12) / 127
        units[step.weight] = np.repeat(filters, weight[0].size)
        if step.bias in program.weights:
            (read,) = step.reads
            units[step.bias] = filters * steps[read]
    return units


def _steps(program: Program, images: Tensor) -> list[float]:
    """The scale of each stored tensor as 8-bit activations that hold its values on these images and 0."""
    lows, highs = np.zeros(len(program.steps)), np.zeros(len(program.steps))

    def seen(number: int, value: Tensor) -> Tensor:
        lows[number], highs[number] = min(lows[number], float(value.min())), max(highs[number], float(value.max()))
        return value

    with torch.inference_mode():
        for batch in _batches(program, images):
            program.run(batch, disturb=seen)
    return [float(step) for step in np.maximum(highs - lows, 1e-12) / 255]
