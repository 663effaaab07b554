"""Dirty channels: the part of a stored tensor that a fault changed, and how it spreads through one step."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from hwnas.deployed.memory import Change
from hwnas.deployed.program import Program, Step
from hwnas.graph import Concat, Conv, Linear, Op
from hwnas.graph.ops import pair
from hwnas.injection.clean_pass import CleanPass

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


def disturbed_channels(program: Program, clean: CleanPass, number: int, change: Change) -> Dirty:
    """Case 1: the sums of a step whose own weights hold something else, as far as they differ."""
    step, x = program.steps[number], clean.values[program.steps[number].reads[0]]
    if not isinstance(step.op, Conv | Linear):
        inputs = [clean.values[source] for source in step.reads]
        return Dirty(None, program.accumulate(step, inputs, program.with_changes([change])))
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
    assert isinstance(step.op, Conv)
    op = step.op
    filters, inputs = op.out_channels // op.groups, x.shape[1] // op.groups
    channel = int(place[0]) // filters * inputs + int(place[1])
    _, height, width = op.shape([tuple(x.shape[1:])])
    top, left, bottom, right = op.pads
    padded = F.pad(x[:, channel], (left, right, top, bottom)) if any(op.pads) else x[:, channel]
    (down, across), dilations = pair(op.stride), pair(op.dilation)
    row, column = (int(tap) * dilation for tap, dilation in zip(place[2:], dilations, strict=True))
    return padded[:, row : row + (height - 1) * down + 1 : down, column : column + (width - 1) * across + 1 : across]


def propagate(program: Program, clean: CleanPass, number: int, dirty: Mapping[int, Dirty]) -> Dirty:
    """Case 2: the sums of a step some of whose inputs are dirty, as far as they can differ."""
    step = program.steps[number]
    spread = _fast_path(step)
    found = None if spread is None else spread(program, clean, number, [dirty.get(source) for source in step.reads])
    if found is not None:
        return found
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


def _conv(program: Program, clean: CleanPass, number: int, dirty: Sequence[Dirty | None]) -> Dirty | None:
    step, found = program.steps[number], dirty[0]
    assert isinstance(step.op, Conv)
    assert found is not None
    op, x, weight = step.op, clean.values[step.reads[0]], program.weights[step.weight]
    top, left, bottom, right = op.pads
    if not _few(found, x) or found.channels is None or (top, left) != (bottom, right):
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
    sums = F.conv2d(found.values, weight[list(outputs)], few_bias, pair(op.stride), (top, left), pair(op.dilation), channels)
    return Dirty(outputs, sums)


def _response(difference: Tensor, weight: Tensor, op: Conv, sums: Tensor) -> Tensor:
    """A convolution of few channels; from one channel onto many pixels a matrix product is 4 to 6 times faster than torch."""
    stride, padding, dilation = pair(op.stride), op.pads[:2], pair(op.dilation)
    if difference.shape[1] == 1 and sums[0, 0].numel() >= LARGE:
        columns = F.unfold(difference, op.window, dilation, padding, stride)
        return torch.matmul(weight.flatten(1), columns).view(sums.shape)
    return F.conv2d(difference, weight, None, stride, padding, dilation)


def _linear(program: Program, clean: CleanPass, number: int, dirty: Sequence[Dirty | None]) -> Dirty | None:
    step, found = program.steps[number], dirty[0]
    assert found is not None
    x, weight = clean.values[step.reads[0]], program.weights[step.weight]
    if not _few(found, x) or found.channels is None:
        return None
    columns = weight.view(len(weight), x.shape[1], -1)[:, list(found.channels)].flatten(1)
    difference = (found.values - found.clean(x)).flatten(1)
    return Dirty(None, torch.addmm(clean.sums[number], difference, columns.t()))


def _channelwise(program: Program, clean: CleanPass, number: int, dirty: Sequence[Dirty | None]) -> Dirty | None:
    step, found = program.steps[number], dirty[0]
    assert found is not None
    few = program.weights
    if found.channels is not None and step.tensors:
        few = {name: program.weights[name][list(found.channels)] for name in step.tensors}
    return Dirty(found.channels, program.accumulate(step, [found.values], few))


def _sum(program: Program, clean: CleanPass, number: int, dirty: Sequence[Dirty | None]) -> Dirty | None:
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


def _concat(program: Program, clean: CleanPass, number: int, dirty: Sequence[Dirty | None]) -> Dirty | None:
    channels: list[int] = []
    values, offset = [], 0
    for source, found in zip(program.steps[number].reads, dirty, strict=True):
        width = clean.values[source].shape[1]
        if found is not None:
            channels += [offset + channel for channel in (range(width) if found.channels is None else found.channels)]
            values.append(found.values)
        offset += width
    return Dirty(tuple(channels), torch.cat(values, 1))


_Spread: TypeAlias = Callable[[Program, CleanPass, int, Sequence[Dirty | None]], Dirty | None]
_SPREAD: Mapping[type[Op], _Spread] = {Conv: _conv, Linear: _linear, Concat: _concat}


def _fast_path(step: Step) -> _Spread | None:
    """How dirty channels pass through a step; None where all of it is recomputed, which is always right."""
    if any(step.views) and not isinstance(step.op, Linear):
        return None  # a channel of the map is a block of the vector
    if step.op.channelwise and type(step.op) not in _SPREAD:
        return _channelwise if len(step.reads) == 1 else _sum
    return _SPREAD.get(type(step.op))
