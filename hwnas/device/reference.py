"""The reference model: the fixed network whose blocks alternate with those of every model that is measured."""

from functools import cache

import numpy as np
from onnx import TensorProto, helper, numpy_helper

CHANNELS, SIZE, LAYERS = 32, 32, 3


@cache
def reference_model() -> bytes:
    """A chain of three 3x3 convolutions with ReLU on a 3x32x32 image (19.7 million MACs), opset 17 and IR version 8.

    Its weights are deterministic; it takes 0.2 to 1 ms on one core of a desktop or server CPU. Our definition: changing it
    changes every drift-corrected latency, so a change needs a new name in `Fingerprint` and a word in the change log.
    """
    rng = np.random.default_rng(0)
    nodes, weights, tensor, inputs = [], [], "image", 3
    for layer in range(LAYERS):
        scale = np.float32((2 / (9 * inputs)) ** 0.5)
        kernel = rng.standard_normal((CHANNELS, inputs, 3, 3)).astype(np.float32) * scale
        weights += [
            numpy_helper.from_array(kernel, f"w{layer}"),
            numpy_helper.from_array(np.zeros(CHANNELS, np.float32), f"b{layer}"),
        ]
        conv, relu = f"conv{layer}", f"relu{layer}"
        nodes += [
            helper.make_node("Conv", [tensor, f"w{layer}", f"b{layer}"], [conv], pads=[1, 1, 1, 1]),
            helper.make_node("Relu", [conv], [relu]),
        ]
        tensor, inputs = relu, CHANNELS
    nodes.append(helper.make_node("GlobalAveragePool", [tensor], ["pooled"]))
    graph = helper.make_graph(
        nodes,
        "hwnas_reference",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, SIZE, SIZE])],
        [helper.make_tensor_value_info("pooled", TensorProto.FLOAT, [1, CHANNELS, 1, 1])],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    serialised: bytes = model.SerializeToString()
    return serialised
