"""The table of the ONNX operators that are taken; their functions stand one file a family, as in ``hwnas.graph.ops``."""

from collections.abc import Callable, Mapping

from hwnas.onnxfiles.operator import Operator
from hwnas.onnxfiles.operators import activation, convolution, merging, normalisation, pooling, shaping
from hwnas.onnxfiles.translation import Translation

__all__ = ["OPERATORS"]

OPERATORS: Mapping[str, Callable[[Translation, Operator], None]] = {
    "Add": merging.arithmetic,
    "AveragePool": pooling.window_pool,
    "BatchNormalization": normalisation.batch_norm,
    "Cast": shaping.cast,
    "Clip": activation.clip,
    "Concat": merging.concat,
    "Conv": convolution.conv,
    "Div": merging.arithmetic,
    "Dropout": shaping.alias,
    "Flatten": shaping.flatten,
    "Gelu": activation.gelu,
    "Gemm": convolution.linear,
    "GlobalAveragePool": pooling.global_average,
    "GlobalMaxPool": pooling.global_max,
    "GroupNormalization": normalisation.group_norm,
    "HardSigmoid": activation.hard_sigmoid,
    "HardSwish": activation.hard_swish,
    "Identity": shaping.alias,
    "InstanceNormalization": normalisation.instance_norm,
    "LayerNormalization": normalisation.layer_norm,
    "LeakyRelu": activation.leaky_relu,
    "MatMul": convolution.linear,
    "MaxPool": pooling.window_pool,
    "Mul": merging.arithmetic,
    "PRelu": activation.prelu,
    "Pad": shaping.pad,
    "ReduceMax": pooling.reduction,
    "ReduceMean": pooling.reduction,
    "Relu": activation.relu,
    "Reshape": shaping.reshape,
    "Resize": shaping.resize,
    "Sigmoid": activation.sigmoid,
    "Slice": shaping.slices,
    "Split": shaping.split,
    "Squeeze": shaping.squeeze,
    "Sub": merging.arithmetic,
    "Sum": merging.arithmetic,
    "Swish": activation.swish,
    "Transpose": shaping.transpose,
    "Unsqueeze": shaping.unsqueeze,
    "Upsample": shaping.resize,
    # what hwnas.onnxfiles.patterns makes of several operators
    "AdaptiveAveragePool": pooling.adaptive_average,
    "ChannelNormalization": normalisation.channel_norm,
}
