"""The constants of an ONNX graph, wherever a file keeps them."""

import onnx
from onnx import TensorProto


def constants_of(graph: onnx.GraphProto) -> dict[str, TensorProto]:
    """Initialisers and the tensors of Constant nodes by name."""
    made = {node.output[0]: part.t for node in graph.node if node.op_type == "Constant" for part in node.attribute}
    return made | {tensor.name: tensor for tensor in graph.initializer}
