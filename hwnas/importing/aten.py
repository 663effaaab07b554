"""From the operations of torch.export (ATen) to those of hwnas: one table.

Each function is given the translation so far and a call, and gives what the call stands for. Views and permutations that a
graph has no operation for are followed: channels that come last, as behind ``permute(0, 2, 3, 1)``, are a flag of a value.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TypeAlias

import torch

from hwnas.graph import (
    AdaptiveAvgPool,
    Add,
    AvgPool,
    BatchNorm,
    Clip,
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
    PRelu,
    Scale,
    ScaledAdd,
    Sigmoid,
    Silu,
    Subtract,
)
from hwnas.importing.aten_shaping import (
    concat,
    cut,
    pad,
    permute,
    same,
    same_type,
    split,
    transpose,
    upsample,
    view,
)
from hwnas.importing.call import Call, Constant, Held, Parts, Value
from hwnas.importing.translation import Translation

Take: TypeAlias = Callable[[Translation, Call], Held]


def _conv(made: Translation, call: Call) -> Value:
    source, weight, bias = made.first(call, call.value("input")), call.needed("weight"), call.constant("bias")
    kernel = tuple(weight.tensor.shape[2:])
    dilation = call.integers("dilation")
    padding = call.raw("padding")
    if isinstance(padding, str):
        whole = [step * (size - 1) if padding == "same" else 0 for step, size in zip(dilation, kernel, strict=True)]
        top, left = (size // 2 for size in whole)
        pads = (top, left, whole[0] - top, whole[1] - left)
    else:
        pads = call.integers("padding") * 2  # type: ignore[assignment]
    op = Conv(
        out_channels=weight.tensor.shape[0],
        kernel=kernel,  # type: ignore[arg-type]
        stride=call.integers("stride"),  # type: ignore[arg-type]
        padding=pads,
        dilation=dilation,  # type: ignore[arg-type]
        groups=call.raw("groups"),
        bias=bias is not None,
    )
    return made.put(call, op, source, tensors={"weight": weight, "bias": bias})


def _linear(made: Translation, call: Call) -> Value:
    """A matrix for each pixel, where channels come last, is a convolution of 1x1."""
    value, weight, bias = call.value("input"), call.needed("weight"), call.constant("bias")
    features, tensors = weight.tensor.shape[0], {"weight": weight, "bias": bias}
    if not value.channels_last:
        return made.put(call, Linear(out_features=features, bias=bias is not None), value.node, tensors=tensors)
    filters = replace(weight, tensor=weight.tensor[:, :, None, None])
    op = Conv(out_channels=features, kernel=1, padding=0, bias=bias is not None)
    return made.put_alike(call, op, value, tensors={"weight": filters, "bias": bias})


def _batch_norm(made: Translation, call: Call) -> Parts:
    names = {"weight": "weight", "bias": "bias", "running_mean": "running_mean", "running_var": "running_var"}
    tensors = {name: call.constant(argument) for name, argument in names.items()}
    if tensors["running_mean"] is None:
        raise call.refuse("a batch norm without running statistics is not taken; track_running_stats=True keeps them")
    op, source = BatchNorm(eps=call.raw("eps"), momentum=call.raw("momentum")), made.first(call, call.value("input"))
    if len(made.shapes[source]) == 3:
        return Parts(parts=(made.put(call, op, source, tensors=tensors),))
    normal = made.put(call, op, made.as_map(call, source), tensors=tensors)  # of a vector: of a feature map of one pixel
    return Parts(parts=(made.put(call, Flatten(), normal.node),))


def _batch_norm_by_batch(made: Translation, call: Call) -> Parts:
    raise call.refuse("a batch norm without running statistics is not taken; track_running_stats=True keeps them")


def _layer_norm(made: Translation, call: Call) -> Value:
    value = call.value("input")
    shape = made.as_torch_sees(value)
    if tuple(call.raw("normalized_shape")) != shape[-1:] or not (value.channels_last or len(shape) == 1):
        raise call.refuse("only normalisations over channels are taken: over the last axis, channels permuted to it")
    tensors = {"weight": call.constant("weight"), "bias": call.constant("bias")}
    return made.put_alike(call, LayerNorm(eps=call.raw("eps")), value, tensors=tensors)


def _group_norm(made: Translation, call: Call) -> Value:
    op = GroupNorm(groups=call.raw("num_groups"), eps=call.raw("eps"))
    tensors = {"weight": call.constant("weight"), "bias": call.constant("bias")}
    return made.put(call, op, made.first(call, call.value("input")), tensors=tensors)


def _activation(make: Callable[[Call], Op]) -> Take:
    def take(made: Translation, call: Call) -> Value:
        return made.put_alike(call, make(call), call.value("self"))

    return take


def _clip(call: Call) -> Op:
    low, high = (call.raw(name) for name in ("min", "max"))
    return Clip(low=float("-inf") if low is None else float(low), high=float("inf") if high is None else float(high))


def _hardtanh(call: Call) -> Op:
    return Clip(low=float(call.raw("min_val")), high=float(call.raw("max_val")))


def _prelu(made: Translation, call: Call) -> Value:
    value, weight = call.value("self"), call.needed("weight")
    slopes = replace(weight, tensor=weight.tensor.expand(made.shapes[value.node][0]))
    return made.put(call, PRelu(), made.first(call, value), tensors={"weight": slopes})


def _max_pool(made: Translation, call: Call) -> Parts:
    if call.integers("dilation") != (1, 1):
        raise call.refuse("a dilated pooling is not taken")
    kernel = call.integers("kernel_size")
    op = MaxPool(
        kernel=kernel,  # type: ignore[arg-type]
        stride=call.integers("stride") or kernel,  # type: ignore[arg-type]
        padding=call.integers("padding"),  # type: ignore[arg-type]
        ceil_mode=call.raw("ceil_mode"),
    )
    return Parts(parts=(made.put(call, op, made.first(call, call.value("self"))),))


def _avg_pool(made: Translation, call: Call) -> Value:
    if call.raw("divisor_override") is not None:
        raise call.refuse("a pooling with a divisor of its own is not taken")
    kernel, padding = call.integers("kernel_size"), call.integers("padding")
    op = AvgPool(
        kernel=kernel,  # type: ignore[arg-type]
        stride=call.integers("stride") or kernel,  # type: ignore[arg-type]
        padding=padding,  # type: ignore[arg-type]
        ceil_mode=call.raw("ceil_mode"),
        count_include_pad=bool(call.raw("count_include_pad")) or not any(padding),
    )
    return made.put(call, op, made.first(call, call.value("self")))


def _adaptive_avg_pool(made: Translation, call: Call) -> Value:
    height, width = call.shape[2:]
    op: Op = GlobalAvgPool() if (height, width) == (1, 1) else AdaptiveAvgPool(height=height, width=width)
    return made.put(call, op, made.first(call, call.value("self")))


def _adaptive_max_pool(made: Translation, call: Call) -> Parts:
    if call.integers("output_size") != (1, 1):
        raise call.refuse("an adaptive max pooling is taken to one pixel alone")
    return Parts(parts=(made.put(call, GlobalMaxPool(), made.first(call, call.value("self"))),))


def _over_pixels(op: Op) -> Take:
    """A mean or maximum over height and width, kept as (C, 1, 1) or not."""

    def take(made: Translation, call: Call) -> Value:
        value, axes = call.value("self"), call.raw("dim")
        rank = len(made.shapes[value.node]) + 1
        found = sorted(axis % rank for axis in (axes if isinstance(axes, list | tuple) else [axes])) if axes is not None else []
        if rank != 4 or found != ([1, 2] if value.channels_last else [2, 3]):
            raise call.refuse(f"it is taken over height and width alone, not over the axes {axes}")
        pooled = made.put(call, op, value.node)
        if call.raw("keepdim"):
            return replace(pooled, channels_last=value.channels_last)
        return made.put(call, Flatten(), pooled.node)

    return take


def _add(made: Translation, call: Call) -> Value:
    one, other, alpha = call.held("self"), call.held("other"), call.raw("alpha")
    if not isinstance(one, Value) or not isinstance(other, Value):
        value, constant = (one, other) if isinstance(one, Value) else (other, one)
        if alpha not in (None, 1) or not isinstance(value, Value):
            raise call.refuse("the sum with a constant is taken without a factor alone")
        return _plus(made, call, value, constant)
    if alpha in (None, 1):
        return made.put_alike(call, Add(), one, other)
    return made.put_alike(call, ScaledAdd(factors=(1.0, float(alpha))), one, other)


def _plus(made: Translation, call: Call, value: Value, constant: Held | float | None) -> Value:
    """The sum with one number for each channel, or for all: a depthwise convolution of 1x1 with that bias. 0 changes nothing."""
    if isinstance(constant, int | float) and constant == 0:
        return value
    bias = _per_channel(made, value, constant)
    if bias is None or len(made.shapes[value.node]) != 3:
        raise call.refuse("the sum with a constant is taken of a feature map and one number for each channel, or for all, alone")
    channels = made.shapes[value.node][0]
    ones = Constant(tensor=torch.ones(channels, 1, 1, 1))
    op = Conv(out_channels=channels, kernel=1, padding=0, groups=channels, bias=True)
    return made.put_alike(call, op, value, tensors={"weight": ones, "bias": bias})


def _per_channel(made: Translation, value: Value, constant: Held | float | None) -> Constant | None:
    """A constant as (C,) where it has one number for each channel of a value, or one for all; else None."""
    if isinstance(constant, int | float):
        return Constant(tensor=torch.full((made.shapes[value.node][0],), float(constant)))
    if not isinstance(constant, Constant):
        return None
    shape, tensor = made.shapes[value.node], constant.tensor
    if tensor.numel() == 1:
        return replace(constant, tensor=tensor.reshape(1).expand(shape[0]))
    column = (shape[0],) if value.channels_last or len(shape) == 1 else (shape[0], 1, 1)
    while tensor.dim() > len(column) and tensor.shape[0] == 1:
        tensor = tensor[0]
    return replace(constant, tensor=tensor.reshape(-1)) if tuple(tensor.shape) == column else None


def _subtract(made: Translation, call: Call) -> Value:
    if call.raw("alpha") not in (None, 1):
        raise call.refuse("the difference with a factor is not taken")
    return made.put_alike(call, Subtract(), call.value("self"), call.value("other"))


def _multiply(made: Translation, call: Call) -> Value:
    """Two values; or a value and one number for each channel, or for all."""
    one, other = call.held("self"), call.held("other")
    if isinstance(one, Value) and isinstance(other, Value):
        return made.put_alike(call, Multiply(), one, other)
    value, factor = (one, other) if isinstance(one, Value) else (other, one)
    if isinstance(value, Value) and isinstance(factor, int | float) and factor == 1:
        return value
    if isinstance(value, Value) and (weight := _per_channel(made, value, factor)) is not None:
        return made.put_alike(call, Scale(), value, tensors={"weight": weight})
    raise call.refuse("the product with a constant is taken with one number for each channel, or for all, alone")


def _divide(made: Translation, call: Call) -> Value:
    """A value by one number for each channel, or for all."""
    value, divisor = call.value("self"), call.held("other")
    whole = _per_channel(made, value, divisor)
    if whole is None or not whole.tensor.all() or call.raw("rounding_mode") is not None:
        raise call.refuse("only the quotient by constants other than zero is taken, one for each channel, or for all")
    weight = Constant(tensor=1 / whole.tensor, names=whole.names)
    return made.put_alike(call, Scale(), value, tensors={"weight": weight})


def _only(take: Callable[[Translation, Call], Parts]) -> Take:
    """The first of several outputs, of the form of an operation that gives it alone."""
    return lambda made, call: take(made, call).parts[0]


_NAMED: Mapping[str, Take] = {
    "conv2d": _conv,
    "linear": _linear,
    "_native_batch_norm_legit_no_training": _batch_norm,
    "_native_batch_norm_legit": _batch_norm_by_batch,
    "batch_norm": _only(_batch_norm),
    "layer_norm": _layer_norm,
    "group_norm": _group_norm,
    "relu": _activation(lambda call: Clip()),
    "relu6": _activation(lambda call: Clip(high=6.0)),
    "hardtanh": _activation(_hardtanh),
    "clamp": _activation(_clip),
    "clamp_min": _activation(_clip),
    "sigmoid": _activation(lambda call: Sigmoid()),
    "hardsigmoid": _activation(lambda call: HardSigmoid()),
    "silu": _activation(lambda call: Silu()),
    "hardswish": _activation(lambda call: HardSwish()),
    "gelu": _activation(lambda call: Gelu(tanh=call.raw("approximate") == "tanh")),
    "leaky_relu": _activation(lambda call: LeakyRelu(slope=float(call.raw("negative_slope")))),
    "prelu": _prelu,
    "max_pool2d": _only(_max_pool),
    "max_pool2d_with_indices": _max_pool,
    "avg_pool2d": _avg_pool,
    "adaptive_avg_pool2d": _adaptive_avg_pool,
    "adaptive_max_pool2d": _adaptive_max_pool,
    "mean": _over_pixels(GlobalAvgPool()),
    "amax": _over_pixels(GlobalMaxPool()),
    "add": _add,
    "sub": _subtract,
    "mul": _multiply,
    "div": _divide,
    "cat": concat,
    "slice": cut,
    "split": split,
    "split_with_sizes": split,
    "chunk": split,
    "pad": pad,
    "constant_pad_nd": pad,
    "upsample_nearest2d": upsample,
    "flatten": view,
    "view": view,
    "reshape": view,
    "_unsafe_view": view,
    "squeeze": view,
    "unsqueeze": view,
    "permute": permute,
    "transpose": transpose,
    "dropout": same,
    "clone": same,
    "contiguous": same,
    "alias": same,
    "detach": same,
    "expand": view,
    "to": same_type,
    "_to_copy": same_type,
}
ATEN: Mapping[str, Take] = {f"aten::{name}": take for name, take in _NAMED.items()}
