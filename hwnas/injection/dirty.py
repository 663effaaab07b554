"""Dirty channels: the part of a stored tensor that a fault changed, and how it spreads through one step."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from hwnas.graph import Add, AvgPool, BatchNorm, Clip, Concat, Conv, GlobalAvgPool, Linear, MaxPool, Op, WeightedAdd
from hwnas.injection.memory import Change
from hwnas.injection.program import Program, Step

if TYPE_CHECKING:
    from hwnas.injection.engine import Clean

LARGE = 256  # pixels
Channels = tuple[int, ...] | None  # ascending; None: all of them


@dataclass(frozen=True, slots=True)
class Dirty:
    """New values (n, k, ..) of k channels; features of a vector are channels, too."""

    channels: Channels
    values: Tensor

    def clean(self, tensor: Tensor) -> Tensor:
        """The same channels of another tensor."""
        return _take(tensor, self.channels)


def joined(dirty: Dirty, clean: Tensor) -> Tensor:
    """The whole tensor: dirty channels where there are such, clean ones elsewhere."""
    if dirty.channels is None:
        return dirty.values
    whole = clean.clone()
    whole[:, list(dirty.channels)] = dirty.values
    return whole


def disturbed_channels(program: Program, clean: "Clean", number: int, change: Change) -> Dirty:
    """Case 1: the sums of a step whose own weights hold something else, as far as they differ."""
    step, x = program.steps[number], clean.values[program.steps[number].reads[0]]
    old = program.weights[change.tensor]
    layout = program.memory.formats[change.tensor]
    new = np.asarray(layout.decode(change.values), np.float32)
    places = np.stack(np.unravel_index(change.elements, tuple(old.shape)), 1)
    with np.errstate(over="ignore", invalid="ignore"):
        steps_by = new - old.numpy()[tuple(places.T)]
    channels = tuple(sorted({int(place[0]) for place in places}))
    sums = _take(clean.sums[number], channels).clone()
    for place, difference in zip(places, steps_by.tolist(), strict=True):
        row = sums[:, channels.index(int(place[0]))]
        if change.tensor == step.bias:
            row += difference
        else:
            row += _read_by(step, x, place) * difference
    return Dirty(channels, sums)


def _read_by(step: Step, x: Tensor, place: NDArray[np.int64]) -> Tensor:
    """What the weight at ``place`` is multiplied with, for each output of its channel."""
    if isinstance(step.op, Linear):
        return x.flatten(1)[:, int(place[1])]
    if isinstance(step.op, BatchNorm):
        return x[:, int(place[0])]
    assert isinstance(step.op, Conv)
    op = step.op
    filters, inputs = op.out_channels // op.groups, x.shape[1] // op.groups
    row, column = int(place[2]), int(place[3])
    channel = int(place[0]) // filters * inputs + int(place[1])
    _, height, width = step.op.shape([tuple(x.shape[1:])])
    padded = F.pad(x[:, channel], (op.padding,) * 4) if op.padding else x[:, channel]
    return padded[
        :, row : row + (height - 1) * op.stride + 1 : op.stride, column : column + (width - 1) * op.stride + 1 : op.stride
    ]


def propagate(program: Program, clean: "Clean", number: int, dirty: Mapping[int, Dirty]) -> Dirty:
    """Case 2: the sums of a step some of whose inputs are dirty, as far as they can differ."""
    step = program.steps[number]
    spread = _SPREAD[type(step.op)](program, clean, number, [dirty.get(source) for source in step.reads])
    if spread is not None:
        return spread
    inputs = [joined(dirty[source], clean.values[source]) if source in dirty else clean.values[source] for source in step.reads]
    return Dirty(None, program.accumulate(step, inputs, program.weights))


def _take(tensor: Tensor, channels: Channels) -> Tensor:
    if channels is None:
        return tensor
    if channels[-1] - channels[0] + 1 == len(channels):
        return tensor[:, channels[0] : channels[-1] + 1]
    return tensor[:, list(channels)]


def _few(dirty: Dirty, x: Tensor) -> bool:
    return dirty.channels is not None and 2 * len(dirty.channels) <= x.shape[1]


def _conv(program: Program, clean: "Clean", number: int, dirty: Sequence[Dirty | None]) -> Dirty | None:
    step, found = program.steps[number], dirty[0]
    assert isinstance(step.op, Conv)
    assert found is not None
    op, x, weight = step.op, clean.values[step.reads[0]], program.weights[step.weight]
    if not _few(found, x) or found.channels is None:
        return None
    if op.groups == 1:
        response = _response(found.values - found.clean(x), weight[:, list(found.channels)], op, clean.sums[number])
        return Dirty(None, clean.sums[number] + response)
    if op.groups != x.shape[1]:
        return None
    filters = op.out_channels // op.groups
    outputs = tuple(channel * filters + place for channel in found.channels for place in range(filters))
    bias = program.weights.get(step.bias)
    few_bias = None if bias is None else bias[list(outputs)]
    channels = len(found.channels)
    sums = F.conv2d(found.values, weight[list(outputs)], few_bias, op.stride, op.padding, 1, channels)
    return Dirty(outputs, sums)


def _response(difference: Tensor, weight: Tensor, op: Conv, sums: Tensor) -> Tensor:
    """A convolution of few channels; from one channel onto many pixels a matrix product is 4 to 6 times faster than torch."""
    if difference.shape[1] == 1 and sums[0, 0].numel() >= LARGE:
        columns = F.unfold(difference, op.kernel, padding=op.padding, stride=op.stride)
        return torch.matmul(weight.flatten(1), columns).view(sums.shape)
    return F.conv2d(difference, weight, None, op.stride, op.padding)


def _linear(program: Program, clean: "Clean", number: int, dirty: Sequence[Dirty | None]) -> Dirty | None:
    step, found = program.steps[number], dirty[0]
    assert found is not None
    x, weight = clean.values[step.reads[0]], program.weights[step.weight]
    if not _few(found, x) or found.channels is None:
        return None
    columns = weight.view(len(weight), x.shape[1], -1)[:, list(found.channels)].flatten(1)
    difference = (found.values - found.clean(x)).flatten(1)
    return Dirty(None, torch.addmm(clean.sums[number], difference, columns.t()))


def _batch_norm(program: Program, clean: "Clean", number: int, dirty: Sequence[Dirty | None]) -> Dirty | None:
    step, found = program.steps[number], dirty[0]
    assert found is not None
    if found.channels is None:
        return None
    few = {name: program.weights[name][list(found.channels)] for name in (step.weight, step.bias)}
    return Dirty(found.channels, program.accumulate(step, [found.values], few))


def _channelwise(program: Program, clean: "Clean", number: int, dirty: Sequence[Dirty | None]) -> Dirty | None:
    found = dirty[0]
    assert found is not None
    return Dirty(found.channels, program.accumulate(program.steps[number], [found.values], program.weights))


def _sum(program: Program, clean: "Clean", number: int, dirty: Sequence[Dirty | None]) -> Dirty | None:
    step = program.steps[number]
    if any(found is not None and found.channels is None for found in dirty):
        return None
    channels = tuple(sorted({channel for found in dirty if found is not None for channel in found.channels or ()}))
    terms = [
        found.values if found is not None and found.channels == channels
        else _take(clean.values[source] if found is None else joined(found, clean.values[source]), channels)
        for source, found in zip(step.reads, dirty, strict=True)
    ]  # fmt: skip
    return Dirty(channels, program.accumulate(step, terms, program.weights))


def _concat(program: Program, clean: "Clean", number: int, dirty: Sequence[Dirty | None]) -> Dirty | None:
    channels: list[int] = []
    values, offset = [], 0
    for source, found in zip(program.steps[number].reads, dirty, strict=True):
        width = clean.values[source].shape[1]
        if found is not None:
            channels += [offset + channel for channel in (range(width) if found.channels is None else found.channels)]
            values.append(found.values)
        offset += width
    return Dirty(tuple(channels), torch.cat(values, 1))


_Spread = Callable[[Program, Any, int, Sequence[Dirty | None]], Dirty | None]
_SPREAD: Mapping[type[Op], _Spread] = {
    Conv: _conv,
    Linear: _linear,
    BatchNorm: _batch_norm,
    MaxPool: _channelwise,
    AvgPool: _channelwise,
    GlobalAvgPool: _channelwise,
    Clip: _channelwise,
    Add: _sum,
    WeightedAdd: _sum,
    Concat: _concat,
}
