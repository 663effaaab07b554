"""What torch computes for each operation: the one table that trains networks, runs deployed ones and faults them.

``computation(op)`` gives a function of the inputs, the operation's own tensors in the order of ``Op.tensors``, and whether the
network is in training mode; it returns the output. Inputs are (n, C, H, W) or (n, F). A user's operation joins by
``register_compute``.
"""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, TypeAlias, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor

from hwnas.errors import GraphError
from hwnas.graph import (
    AdaptiveAvgPool,
    Add,
    AvgPool,
    BatchNorm,
    Clip,
    Concat,
    Conv,
    Flatten,
    Gelu,
    GlobalAvgPool,
    GlobalMaxPool,
    GroupNorm,
    HardSigmoid,
    HardSwish,
    LayerNorm,
    LeakyRelu,
    Linear,
    MaxPool,
    Multiply,
    Op,
    Pad,
    PRelu,
    Scale,
    ScaledAdd,
    Sigmoid,
    Silu,
    Slice,
    Subtract,
    Upsample,
    WeightedAdd,
)
from hwnas.graph.ops import WindowPool, pair

Tensors: TypeAlias = Sequence[Tensor]
Compute: TypeAlias = Callable[[Tensors, Tensors, bool], Tensor]
AnyOp = TypeVar("AnyOp", bound=Op)
_REGISTERED: dict[type[Op], Callable[[Any], Compute]] = {}
COMPUTE: Mapping[type[Op], Callable[[Any], Compute]] = MappingProxyType(_REGISTERED)


def register_compute(kind: type[AnyOp], make: Callable[[AnyOp], Compute]) -> None:
    """Let ``make(op)`` give what torch computes for operations of this class, in place of what was registered before."""
    _REGISTERED[kind] = make


def computation(op: Op) -> Compute:
    """What torch computes for an operation. Raises GraphError where nothing is registered for it."""
    make = _REGISTERED.get(type(op))
    if make is None:
        raise GraphError(f"what torch computes for {op.kind!r} is not known; register it with hwnas.network.register_compute")
    return make(op)


def _conv(op: Conv) -> Compute:
    stride, dilation, groups = pair(op.stride), pair(op.dilation), op.groups
    top, left, bottom, right = op.pads
    padding = (top, left)
    if (top, left) != (bottom, right):  # torch pads both sides alike

        def padded(x: Tensors, t: Tensors, _: bool) -> Tensor:
            image = F.pad(x[0], (left, right, top, bottom))
            return torch.convolution(image, t[0], t[1] if len(t) > 1 else None, stride, (0, 0), dilation, False, (0, 0), groups)

        return padded
    if groups == 1:
        return lambda x, t, _: F.conv2d(x[0], t[0], t[1] if len(t) > 1 else None, stride, padding, dilation, 1)
    # In the weight's precision, past autocast: a depthwise convolution in bfloat16 is up to five times slower on a CPU.
    return lambda x, t, _: torch.convolution(
        x[0].to(t[0].dtype), t[0], t[1] if len(t) > 1 else None, stride, padding, dilation, False, (0, 0), groups
    )


def _batch_norm(op: BatchNorm) -> Compute:
    momentum, eps = op.momentum, op.eps
    # torch's own function, without F.batch_norm's Python checks: small networks are bound by such overhead.
    return lambda x, t, training: torch.batch_norm(x[0], t[0], t[1], t[2], t[3], training, momentum, eps, False)


def _clip(op: Clip) -> Compute:
    if op.is_relu:
        return lambda x, t, _: torch.relu(x[0])
    low, high = op.low, op.high
    return lambda x, t, _: torch.clamp(x[0], low, high)


def _max_pool(op: MaxPool) -> Compute:
    kernel, stride, ceil = op.window, pair(op.stride), op.ceil_mode
    before, padding = _padding(op, float("-inf"))
    return lambda x, t, _: F.max_pool2d(before(x[0]), kernel, stride, padding, ceil_mode=ceil)


def _avg_pool(op: AvgPool) -> Compute:
    kernel, stride, ceil, counted = op.window, pair(op.stride), op.ceil_mode, op.count_include_pad
    before, padding = _padding(op, 0.0)
    if padding == (0, 0) and any(op.pads) and not counted:
        raise GraphError(f"avg_pool with padding {op.padding} on one side alone counts its zeros; set count_include_pad to true")
    return lambda x, t, _: F.avg_pool2d(before(x[0]), kernel, stride, padding, ceil, counted)


def _padding(op: WindowPool, value: float) -> tuple[Callable[[Tensor], Tensor], tuple[int, int]]:
    """What is done before torch's pooling, and the padding that it is given: torch pads both sides alike."""
    top, left, bottom, right = op.pads
    if (top, left) == (bottom, right):
        return lambda x: x, (top, left)
    return lambda x: F.pad(x, (left, right, top, bottom), value=value), (0, 0)


def _adaptive_avg_pool(op: AdaptiveAvgPool) -> Compute:
    size = (op.height, op.width)
    return lambda x, t, _: F.adaptive_avg_pool2d(x[0], size)


def _linear(op: Linear) -> Compute:
    return lambda x, t, _: F.linear(x[0], t[0], t[1] if len(t) > 1 else None)


def _add(op: Add) -> Compute:
    def chain(x: Tensors, t: Tensors, training: bool) -> Tensor:
        total = torch.add(x[0], x[1])
        for term in x[2:]:
            total = total + term
        return total

    return chain


def _weighted_add(op: WeightedAdd) -> Compute:
    def compute(x: Tensors, t: Tensors, training: bool) -> Tensor:
        (one, other), (mix,) = x, t
        if one.dtype is other.dtype is mix.dtype:
            return torch.lerp(one, other, mix)
        return one + (other - one) * mix  # lerp does not promote what autocast left in two precisions

    return compute


def _scaled_add(op: ScaledAdd) -> Compute:
    factors = op.factors

    def compute(x: Tensors, t: Tensors, training: bool) -> Tensor:
        one, other = (value if factor == 1.0 else value * factor for value, factor in zip(x, factors, strict=True))
        return one + other

    return compute


def _layer_norm(op: LayerNorm) -> Compute:
    eps = op.eps

    def compute(x: Tensors, t: Tensors, training: bool) -> Tensor:
        channels = (x[0].shape[1],)
        return F.layer_norm(x[0].movedim(1, -1), channels, t[0], t[1], eps).movedim(-1, 1)

    return compute


def _group_norm(op: GroupNorm) -> Compute:
    groups, eps = op.groups, op.eps
    return lambda x, t, _: F.group_norm(x[0], groups, t[0], t[1], eps)


def _scale(op: Scale) -> Compute:
    return lambda x, t, _: x[0] * t[0].view(-1, *(1,) * (x[0].dim() - 2))


def _gelu(op: Gelu) -> Compute:
    approximate = "tanh" if op.tanh else "none"
    return lambda x, t, _: F.gelu(x[0], approximate=approximate)


def _leaky_relu(op: LeakyRelu) -> Compute:
    slope = op.slope
    return lambda x, t, _: F.leaky_relu(x[0], slope)


def _slice(op: Slice) -> Compute:
    start, stop = op.start, op.stop
    rows, columns = pair(op.step)
    return lambda x, t, _: x[0][:, start:stop, ::rows, ::columns]


def _pad(op: Pad) -> Compute:
    top, left, bottom, right = op.pads
    sides, value = (left, right, top, bottom, *op.channels), op.value
    return lambda x, t, _: F.pad(x[0], sides, value=value)


def _upsample(op: Upsample) -> Compute:
    rows, columns = pair(op.factor)
    return lambda x, t, _: x[0].repeat_interleave(rows, 2).repeat_interleave(columns, 3)


register_compute(Conv, _conv)
register_compute(Linear, _linear)
register_compute(BatchNorm, _batch_norm)
register_compute(LayerNorm, _layer_norm)
register_compute(GroupNorm, _group_norm)
register_compute(Scale, _scale)
register_compute(Clip, _clip)
register_compute(Sigmoid, lambda op: lambda x, t, _: torch.sigmoid(x[0]))
register_compute(HardSigmoid, lambda op: lambda x, t, _: F.hardsigmoid(x[0]))
register_compute(Silu, lambda op: lambda x, t, _: F.silu(x[0]))
register_compute(HardSwish, lambda op: lambda x, t, _: F.hardswish(x[0]))
register_compute(Gelu, _gelu)
register_compute(LeakyRelu, _leaky_relu)
register_compute(PRelu, lambda op: lambda x, t, _: F.prelu(x[0], t[0]))
register_compute(MaxPool, _max_pool)
register_compute(AvgPool, _avg_pool)
register_compute(GlobalAvgPool, lambda op: lambda x, t, _: x[0].mean((2, 3), keepdim=True))
register_compute(GlobalMaxPool, lambda op: lambda x, t, _: x[0].amax((2, 3), keepdim=True))
register_compute(AdaptiveAvgPool, _adaptive_avg_pool)
register_compute(Flatten, lambda op: lambda x, t, _: x[0].flatten(1))
register_compute(Add, _add)
register_compute(WeightedAdd, _weighted_add)
register_compute(ScaledAdd, _scaled_add)
register_compute(Multiply, lambda op: lambda x, t, _: x[0] * x[1])
register_compute(Subtract, lambda op: lambda x, t, _: x[0] - x[1])
register_compute(Concat, lambda op: lambda x, t, _: torch.cat(list(x), 1))
register_compute(Slice, _slice)
register_compute(Pad, _pad)
register_compute(Upsample, _upsample)
