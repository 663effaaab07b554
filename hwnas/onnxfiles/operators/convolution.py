"""Conv, Gemm and MatMul: the operators with matrices of weights."""

from dataclasses import replace

import numpy as np

from hwnas.graph import Conv, Linear
from hwnas.onnxfiles.constants import Constant
from hwnas.onnxfiles.operator import Operator
from hwnas.onnxfiles.operators.window import pads, sides
from hwnas.onnxfiles.translation import Translation


def conv(made: Translation, operator: Operator) -> None:
    """A convolution."""
    source, weight, bias = made.source(operator), made.needed(operator, 1), made.floats(operator, 2)
    if weight.array.ndim != 4:
        raise operator.refuse(f"expected weights (out, in, height, width), got {weight.array.shape}")
    kernel = (weight.array.shape[2], weight.array.shape[3])
    op = Conv(
        out_channels=len(weight.array),
        kernel=kernel,
        stride=sides(operator, "strides", 1),
        dilation=sides(operator, "dilations", 1),
        padding=pads(operator, made.shapes[source], kernel),
        groups=operator.integer("group", 1),
        bias=bias is not None,
    )
    made.put(operator, op, source, tensors={"weight": weight, "bias": bias})


def linear(made: Translation, operator: Operator) -> None:
    """A fully connected layer; a matrix product over channels that come last is a convolution of 1x1."""
    value, weight, bias = made.unscaled(operator), made.needed(operator, 1), made.floats(operator, 2)
    plain = not operator.integer("transA", 0) and operator.number("alpha", 1.0) == operator.number("beta", 1.0) == 1.0
    if not plain or weight.array.ndim != 2:
        raise operator.refuse("only plain products with a matrix of weights are taken")
    weight = weight if operator.integer("transB", 0) else replace(weight, array=np.ascontiguousarray(weight.array.T))
    flat = None if bias is None else replace(bias, array=bias.array.reshape(-1))
    features = len(weight.array)
    if not value.channels_last:
        op = Linear(out_features=features, bias=flat is not None)
        made.put(operator, op, value.node, tensors={"weight": weight, "bias": flat})
        return
    pointwise = Conv(out_channels=features, kernel=1, padding=0, bias=flat is not None)
    made.put_alike(operator, pointwise, 0, tensors={"weight": as_filters(weight), "bias": flat})


def as_filters(weight: Constant) -> Constant:
    """A matrix (out, in) as the filters of a 1x1 convolution."""
    return replace(weight, array=weight.array[:, :, None, None])
