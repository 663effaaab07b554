"""What flips can be expected to do to a trained network's answers, without one being injected (our definition).

To first order a word that changes by d moves an image's margin m (its largest logit minus the second) by g d, where g is the
margin's gradient. The square of that in units of the margin, at most 1 (an answer can change but once), added up over all bits
of all words and averaged over images x:

    sum over words w and their bits b of mean over x of min(1, (g_w(x) d_wb / m(x))^2)

Flips are independent, so bit error rate times this sum is the expected squared change of a device. Divided by the number of
bits it is that of one flip. What first order does not see: flips that wake a dead ReLU, and those that help.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hwnas.graph import Graph
from hwnas.injection.program import Program
from hwnas.resilience import INT8, INT32, Format

Exact = NDArray[np.float64]
LEAST_MARGIN = 1e-6
IMAGES = 24  # as in benchmarks/resilience_proxy.py
LEAST = 1e-6  # a network without gradients: the objective is compared by its logarithm


def expected_change(
    graph: Graph, state: Mapping[str, Tensor], images: Tensor, *, mean: tuple[float, ...], std: tuple[float, ...]
) -> float:
    """The objective ``expected_change``, above 0: that of a trained network's activations as int8.

    ``images`` are training images uint8 (n, C, H, W), of which 24 are taken, evenly spread.
    """
    chosen = torch.linspace(0, len(images) - 1, min(IMAGES, len(images))).long()
    program = Program.of(graph, state, mean=mean, std=std)
    return max(expected_activation_change(program, images[chosen].float() / 255, INT8), LEAST)


def expected_weight_change(program: Program, images: Tensor, layout: Format) -> float:
    """The sum over the bits of the weights and biases, stored in ``layout``, for images (n, C, H, W) in [0, 1].

    ``program`` holds float32 weights. As int8, weights have one scale a filter and biases are int32, as in exported files.
    """
    leaves = {name: weight.clone().requires_grad_() for name, weight in program.weights.items()}
    sensitivities = []
    for image in images:
        margins = _margins(program.run(image[None], leaves))
        found = torch.autograd.grad(margins.sum(), list(leaves.values()))
        sensitivities.append([_ratio(gradient.reshape(1, -1), margins) for gradient in found])
    units = _weight_units(program, images) if layout is INT8 else {}
    total = 0.0
    for place, (name, weight) in enumerate(program.weights.items()):
        ratios = np.concatenate([found[place] for found in sensitivities])
        stored = INT32 if layout is INT8 and name.endswith("bias") else layout
        total += _expected(ratios, weight.numpy().reshape(-1), stored, units.get(name))
    return total


def expected_activation_change(program: Program, images: Tensor, layout: Format) -> float:
    """The sum over the bits of all stored tensors of an image, the image itself included, stored in ``layout``."""
    values: list[Tensor] = []

    def kept(number: int, value: Tensor) -> Tensor:
        values.append(value.detach().requires_grad_() if number == 0 else value)
        return values[-1]

    margins = _margins(program.run(images, disturb=kept))
    gradients = torch.autograd.grad(margins.sum(), values)
    total = 0.0
    for value, gradient in zip(values, gradients, strict=True):
        held, ratios = value.detach().flatten(1).numpy(), _ratio(gradient.flatten(1), margins)
        if layout is INT8:
            total += _expected(ratios, held[0], layout, np.full(held.shape[1], _step(held)))
        else:
            total += float(
                np.mean([_expected(ratio[None], words, layout, None) for ratio, words in zip(ratios, held, strict=True)])
            )
    return total


def _margins(logits: Tensor) -> Tensor:
    """Largest logit minus the second, (n,)."""
    top = logits.topk(2, dim=1).values
    return top[:, 0] - top[:, 1]


def _ratio(gradients: Tensor, margins: Tensor) -> Exact:
    """Margins lost for a unit's change of each word, (n, words)."""
    ratios: Exact = (gradients / margins.detach()[:, None].clamp(min=LEAST_MARGIN)).double().numpy()
    return ratios


def _expected(ratios: Exact, values: NDArray[np.float32], layout: Format, units: Exact | None) -> float:
    """The sum over bits and words (k,) of the mean over images (n, k) of what is expected of a flip."""
    total = 0.0
    for bit in range(layout.bits):
        # an integer's bit is worth the same wherever it flips
        moves = _moves(values, layout, bit) if units is None else np.ldexp(units, bit)
        with np.errstate(invalid="ignore", over="ignore"):
            squares = np.fmin(1.0, (ratios * moves) ** 2)  # NaN, of a word that becomes infinite, counts as 1
        total += float(squares.mean(0).sum())
    return total


def _moves(values: NDArray[np.float32], layout: Format, bit: int) -> Exact:
    """How far each word moves if this bit of it flips, (k,)."""
    stored = layout.encode(values)
    with np.errstate(invalid="ignore"):  # a flip may make a signalling NaN
        flipped = layout.decode(layout.flip(stored, layout.mask(bit))).astype(np.float64)
    return np.asarray(flipped - layout.decode(stored).astype(np.float64))


def _weight_units(program: Program, images: Tensor) -> Mapping[str, Exact]:
    """What the last bit of each word is worth as int8 weight and int32 bias."""
    values: list[Tensor] = []
    with torch.inference_mode():
        program.run(images, disturb=lambda number, value: values.append(value) or value)  # type: ignore[func-returns-value]
    units: dict[str, Exact] = {}
    for step in program.steps:
        if step.weight not in program.weights:
            continue
        weight = program.weights[step.weight].numpy().astype(np.float64)
        filters = np.maximum(np.abs(weight.reshape(len(weight), -1)).max(1), 1e-12) / 127
        units[step.weight] = np.repeat(filters, weight[0].size)
        if step.bias in program.weights:
            units[step.bias] = filters * _step(_joined([values[source] for source in step.reads]))
    return units


def _joined(values: Sequence[Tensor]) -> NDArray[np.float32]:
    return np.concatenate([value.numpy().reshape(-1) for value in values])


def _step(values: NDArray[np.float32]) -> float:
    """The scale of 8-bit activations that hold these values and 0."""
    return max(float(max(values.max(), 0.0)) - float(min(values.min(), 0.0)), 1e-12) / 255
