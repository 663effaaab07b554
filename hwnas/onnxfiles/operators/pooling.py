"""Poolings over windows, over the whole map, to a grid; and reductions that are such poolings."""

from hwnas.graph import AdaptiveAvgPool, AvgPool, Flatten, GlobalAvgPool, GlobalMaxPool, MaxPool
from hwnas.onnxfiles.operator import Operator
from hwnas.onnxfiles.operators.window import pads, sides
from hwnas.onnxfiles.translation import Translation


def window_pool(made: Translation, operator: Operator) -> None:
    """MaxPool or AveragePool."""
    source, kernel = made.source(operator), sides(operator, "kernel_shape", None)
    if sides(operator, "dilations", 1) != (1, 1) or operator.integer("storage_order", 0):
        raise operator.refuse("only windows without dilation, row by row, are taken")
    padding, stride = pads(operator, made.shapes[source], kernel), sides(operator, "strides", 1)
    ceil_mode = bool(operator.integer("ceil_mode", 0))
    if operator.kind == "MaxPool":
        made.put(operator, MaxPool(kernel=kernel, stride=stride, padding=padding, ceil_mode=ceil_mode), source)
        return
    counted = not any(padding) or bool(operator.integer("count_include_pad", 0))
    pool = AvgPool(kernel=kernel, stride=stride, padding=padding, ceil_mode=ceil_mode, count_include_pad=counted)
    made.put(operator, pool, source)


def global_average(made: Translation, operator: Operator) -> None:
    """GlobalAveragePool."""
    made.put(operator, GlobalAvgPool(), made.source(operator))


def global_max(made: Translation, operator: Operator) -> None:
    """GlobalMaxPool."""
    made.put(operator, GlobalMaxPool(), made.source(operator))


def reduction(made: Translation, operator: Operator) -> None:
    """ReduceMean or ReduceMax over height and width, which are axes 1 and 2 where channels come last."""
    value, given = made.unscaled(operator), made.whole_numbers(operator, 1)
    axes = operator.integers("axes") if given is None else given
    wanted = [1, 2] if value.channels_last else [2, 3]
    keeps = bool(operator.integer("keepdims", 1))
    if sorted(axis % 4 for axis in axes) != wanted or (value.channels_last and keeps):
        raise operator.refuse(f"only reductions over height and width, {wanted}, are taken, got {list(axes)}")
    pooled = made.put(operator, GlobalAvgPool() if operator.kind == "ReduceMean" else GlobalMaxPool(), value.node)
    if not keeps:
        made.put(operator, Flatten(), pooled)


def adaptive_average(made: Translation, operator: Operator) -> None:
    """What ``hwnas.onnxfiles.patterns`` makes of two products with the weights of means over a grid."""
    height, width = sides(operator, "output_size", None)
    made.put(operator, AdaptiveAvgPool(height=height, width=width), made.source(operator))
