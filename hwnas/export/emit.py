"""ONNX bytes straight from a graph and its weights, in about a millisecond.

Names: the input is ``image`` (float32, NCHW, values in [0, 1]), its batch axis ``batch``, the output ``logits``. The stored
tensor whose last node is n (``hwnas.graph.stored_tensors``) is named ``t<n>``, the logits excepted; weights keep the names of
the graph's own tensors, ``<node>.weight`` and so on, folded as ``hwnas.deployed.folding`` says. ``t<input>`` is the image
after what remains of its normalisation; there is none where nothing remains. Convolution and activation stay separate nodes:
ONNX Runtime fuses them.
"""

import json
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import GraphProto, NodeProto, TensorProto, helper, numpy_helper
from torch import Tensor

from hwnas.deployed import Folded, fold
from hwnas.graph import Graph, Node, Op, StoredTensor, architecture_id, stored_tensors
from hwnas.graph.ops import OUTPUT, Attribute
from hwnas.version import __version__

IMAGE, LOGITS, BATCH = "image", "logits", "batch"
OFFSET = "offset"  # the constant of what remains of the image's normalisation


def emit(
    graph: Graph,
    state: Mapping[str, Tensor],
    *,
    mean: tuple[float, ...] | None = None,
    std: tuple[float, ...] | None = None,
    metadata: Mapping[str, str] = MappingProxyType({}),
    opset: int = 17,
    ir_version: int = 8,
) -> bytes:
    """The network as an ONNX model that maps images in [0, 1] to logits.

    Args:
        graph: the network.
        state: its tensors, named ``"<node>.<name>"``.
        mean: of each channel of the images the network was trained on; with ``std`` it goes into the model. None: not normalised.
        std: likewise the standard deviation, positive.
        metadata: written into the model beside ``hwnas_version`` and ``architecture_id``.
        opset: of ONNX's own operators, at least 13.
        ir_version: of the file format.

    Raises:
        ExportError: tensors are missing or not finite, or the normalisation does not fit the image.
    """
    writer = _Writer(graph, fold(graph, state, mean=mean, std=std))
    stored = {tensor.producer: tensor for tensor in stored_tensors(graph)}
    for node in graph:
        if node.op.is_view:
            writer.write_op(node, node.op, [writer.name(node.inputs[0])], writer.name(node.id))
        elif node.id in stored:
            writer.write(stored[node.id])
    image, logits = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [BATCH, *graph.shapes[node]])
        for name, node in ((IMAGE, graph.input.id), (LOGITS, graph.output))
    )
    model = helper.make_model(
        helper.make_graph(writer.nodes, "hwnas", [image], [logits], writer.constants),
        opset_imports=[helper.make_opsetid("", opset)],
        ir_version=ir_version,
        producer_name="hwnas",
        producer_version=__version__,
    )
    own = {"hwnas_version": __version__, "architecture_id": architecture_id(graph)}
    helper.set_model_props(model, own | dict(metadata))
    serialised: bytes = model.SerializeToString()
    return serialised


def drop_unread(graph: GraphProto) -> None:
    """Initialisers that nothing reads any more go: ONNX Runtime would warn of each."""
    read = {name for node in graph.node for name in node.input}
    kept = [tensor for tensor in graph.initializer if tensor.name in read]
    del graph.initializer[:]
    graph.initializer.extend(kept)


def class_names(names: Sequence[str]) -> dict[str, str]:
    """Class names as metadata: ``classes``, a JSON list."""
    return {"classes": json.dumps(list(names))}


class _Writer:
    """Collects ONNX nodes and constants."""

    def __init__(self, graph: Graph, folded: Folded) -> None:
        self.nodes: list[NodeProto] = []
        self.constants: list[TensorProto] = []
        self._graph = graph
        self._folded = folded
        self._normalises = folded.scale is not None or folded.offset is not None

    def name(self, node: int) -> str:
        """The ONNX name of a node's value."""
        if node == self._graph.output:
            return LOGITS
        return IMAGE if node == self._graph.input.id and not self._normalises else f"t{node}"

    def write(self, tensor: StoredTensor) -> None:
        """The computation of one stored tensor: its producer, then the activation fused into it."""
        node, last = self._graph[tensor.producer], self._graph[tensor.node]
        output = self.name(tensor.node)
        if not node.inputs:
            self._normalise(output)
            return
        activated = last.op.fuses == "activation" and last.id != node.id
        raw = f"{output}_raw" if activated else output
        self.write_op(node, self._folded.op(node), [self.name(source) for source in node.inputs], raw)
        if activated:
            self.write_op(last, last.op, [raw], output)

    def write_op(self, node: Node, op: Op, inputs: Sequence[str], output: str) -> None:
        """What an operation computes at a node, as its own ONNX form says."""
        shapes = self._graph.input_shapes(node)
        form = op.onnx(shapes)
        names = {f"x{place}": name for place, name in enumerate(inputs)} | {"": "", OUTPUT: output}
        for name in op.tensors(shapes):
            names[name] = self._constant(f"{node.id}.{name}", self._folded.weights[f"{node.id}.{name}"])
        for name, value in form.constants.items():
            array = np.asarray(value)
            kind = np.int64 if np.issubdtype(array.dtype, np.integer) else np.float32
            names[name] = self._constant(f"{node.id}.{name}", array.astype(kind))
        for part in form.nodes:
            made = names.setdefault(part.output, f"{output}_{part.output}")
            self._add(part.op_type, [names[name] for name in part.inputs], made, **part.attributes)

    def _add(self, op_type: str, inputs: list[str], output: str, **attributes: Attribute) -> None:
        made = helper.make_node(op_type, inputs, [output], f"{output}_{op_type}")
        made.attribute.extend(helper.make_attribute(name, value) for name, value in attributes.items())
        self.nodes.append(made)

    def _constant(self, name: str, value: NDArray[Any]) -> str:
        self.constants.append(numpy_helper.from_array(value, name))
        return name

    def _normalise(self, output: str) -> None:
        """image * scale + offset: one Add or Mul, or where both remain one depthwise convolution."""
        scale, offset = self._folded.scale, self._folded.offset
        if scale is not None and offset is not None:
            weights = [self._constant("scale", scale[:, None, None, None]), self._constant(OFFSET, offset)]
            self._add("Conv", [IMAGE, *weights], output, group=len(scale), kernel_shape=(1, 1))
        elif offset is not None:
            self._add("Add", [IMAGE, self._constant(OFFSET, offset[:, None, None])], output)
