"""Small ONNX models for the device tests."""

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper


def conv_net(channels: int = 8, size: int = 8, layers: int = 2, batch: int | str = 1) -> bytes:
    """A chain of 3x3 convolutions with ReLU, then global average pooling; input x (batch, 3, size, size), output y."""
    rng = np.random.default_rng(0)
    nodes, weights, tensor, inputs = [], [], "x", 3
    for layer in range(layers):
        kernel = (rng.standard_normal((channels, inputs, 3, 3)) / (9 * inputs) ** 0.5).astype(np.float32)
        weights.append(numpy_helper.from_array(kernel, f"w{layer}"))
        nodes += [
            helper.make_node("Conv", [tensor, f"w{layer}"], [f"c{layer}"], pads=[1, 1, 1, 1]),
            helper.make_node("Relu", [f"c{layer}"], [f"r{layer}"]),
        ]
        tensor, inputs = f"r{layer}", channels
    nodes.append(helper.make_node("GlobalAveragePool", [tensor], ["pooled"]))
    nodes.append(helper.make_node("Flatten", ["pooled"], ["y"]))
    graph = helper.make_graph(
        nodes,
        "conv_net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, 3, size, size])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [batch, channels])],
        weights,
    )
    return serialised(graph)


def one_node(op: str, shape: list[int | str], elem_type: int = TensorProto.FLOAT, domain: str = "") -> bytes:
    """A model of one node from x to y."""
    graph = helper.make_graph(
        [helper.make_node(op, ["x"], ["y"], domain=domain)],
        "one_node",
        [helper.make_tensor_value_info("x", elem_type, shape)],
        [helper.make_tensor_value_info("y", elem_type, None)],
    )
    return serialised(graph, domain)


def external(location: str, values: int = 4) -> ModelProto:
    """A model whose one weight says that it lies in another file."""
    weight = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[values], data_location=TensorProto.EXTERNAL)
    weight.external_data.add(key="location", value=location)
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "w"], ["y"])],
        "external",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, values])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, values])],
        [weight],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def serialised(graph: object, domain: str = "") -> bytes:
    opsets = [helper.make_opsetid("", 17)] + ([helper.make_opsetid(domain, 1)] if domain else [])
    return bytes(helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString())
