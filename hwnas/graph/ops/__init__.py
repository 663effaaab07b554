"""The operations a network is made of, one file a family; each answers for itself (``Op`` says what it is asked)."""

from hwnas.graph.ops.activation import Clip, Gelu, HardSigmoid, HardSwish, LeakyRelu, PRelu, Sigmoid, Silu
from hwnas.graph.ops.convolution import Conv, Linear
from hwnas.graph.ops.layout import Joins, Layout, Makes, Passes, Pins, Spreads, Ties
from hwnas.graph.ops.merging import Add, Concat, Multiply, ScaledAdd, Subtract, WeightedAdd
from hwnas.graph.ops.normalisation import BatchNorm, GroupNorm, LayerNorm, Scale
from hwnas.graph.ops.op import OUTPUT, Attribute, CostKind, Initial, OnnxForm, OnnxNode, Op, Shape
from hwnas.graph.ops.pooling import AdaptiveAvgPool, AvgPool, GlobalAvgPool, GlobalMaxPool, MaxPool, WindowPool
from hwnas.graph.ops.registry import OPS, register_op
from hwnas.graph.ops.shaping import Flatten, Input, Pad, Slice, Upsample, nearest
from hwnas.graph.ops.window import Padding, Pads, Size, four, pair

__all__ = [
    "OPS",
    "OUTPUT",
    "AdaptiveAvgPool",
    "Add",
    "Attribute",
    "AvgPool",
    "BatchNorm",
    "Clip",
    "Concat",
    "Conv",
    "CostKind",
    "Flatten",
    "Gelu",
    "GlobalAvgPool",
    "GlobalMaxPool",
    "GroupNorm",
    "HardSigmoid",
    "HardSwish",
    "Initial",
    "Input",
    "Joins",
    "LayerNorm",
    "Layout",
    "LeakyRelu",
    "Linear",
    "Makes",
    "MaxPool",
    "Multiply",
    "OnnxForm",
    "OnnxNode",
    "Op",
    "PRelu",
    "Pad",
    "Padding",
    "Pads",
    "Passes",
    "Pins",
    "Scale",
    "ScaledAdd",
    "Shape",
    "Sigmoid",
    "Silu",
    "Size",
    "Slice",
    "Spreads",
    "Subtract",
    "Ties",
    "Upsample",
    "WeightedAdd",
    "WindowPool",
    "four",
    "nearest",
    "pair",
    "register_op",
]
