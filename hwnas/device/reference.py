"""The reference model: the fixed network whose blocks alternate with those of every model that is measured."""

from functools import cache

import numpy as np
from onnx import TensorProto, helper, numpy_helper


@cache
def reference_model() -> bytes:
    """A chain of three 3x3 convolutions of 32 channels on a 3x32x32 image: 19.8 million MACs, 0.2 to 1 ms on a fast core.

    Our definition. Every drift-corrected latency is relative to it: changing it makes stored latencies incomparable.
    """
    return conv_chain(channels=32, size=32, layers=3)


def conv_chain(*, channels: int, size: int, layers: int) -> bytes:
    """ONNX bytes (opset 17, IR version 8) of 3x3 convolutions with ReLU on a 3 x size x size image, then a global pool.

    The weights are random but always the same.
    """
    rng = np.random.default_rng(0)
    nodes, weights, tensor, inputs = [], [], "image", 3
    for layer in range(layers):
        scale = np.float32((2 / (9 * inputs)) ** 0.5)
        kernel = rng.standard_normal((channels, inputs, 3, 3)).astype(np.float32) * scale
        weights += [
            numpy_helper.from_array(kernel, f"w{layer}"),
            numpy_helper.from_array(np.zeros(channels, np.float32), f"b{layer}"),
        ]
        conv, relu = f"conv{layer}", f"relu{layer}"
        nodes += [
            helper.make_node("Conv", [tensor, f"w{layer}", f"b{layer}"], [conv], pads=[1, 1, 1, 1]),
            helper.make_node("Relu", [conv], [relu]),
        ]
        tensor, inputs = relu, channels
    nodes.append(helper.make_node("GlobalAveragePool", [tensor], ["pooled"]))
    graph = helper.make_graph(
        nodes,
        "conv_chain",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, size, size])],
        [helper.make_tensor_value_info("pooled", TensorProto.FLOAT, [1, channels, 1, 1])],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    serialised: bytes = model.SerializeToString()
    return serialised
