"""ONNX bytes straight from a graph and its weights, in about a millisecond.

Names: the input is ``image`` (float32, NCHW, values in [0, 1]), its batch axis ``batch``, the output ``logits``. The stored
tensor whose last node is n (``hwnas.graph.stored_tensors``) is named ``t<n>``, the logits excepted; weights keep the names of
the graph's own tensors, ``<node>.weight`` and ``<node>.bias``, folded as deploy.py says. ``t<input>`` is the image after what
remains of its normalisation; there is none where nothing remains. Convolution and activation stay separate nodes: ONNX
Runtime fuses them.
"""

import json
import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np
from numpy.typing import ArrayLike
from onnx import GraphProto, NodeProto, TensorProto, helper, numpy_helper
from torch import Tensor

from hwnas import __version__
from hwnas.export.deploy import Deployed, deploy
from hwnas.graph import (
    Add,
    BatchNorm,
    Clip,
    Conv,
    Flatten,
    Graph,
    Input,
    Linear,
    Node,
    StoredTensor,
    WeightedAdd,
    architecture_id,
    stored_tensors,
)
from hwnas.graph.ops import Attribute

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
    writer = _Writer(graph, deploy(graph, state, mean=mean, std=std))
    stored = {tensor.producer: tensor for tensor in stored_tensors(graph)}
    for node in graph:
        if isinstance(node.op, Flatten):
            writer.add("Flatten", [writer.name(node.inputs[0])], writer.name(node.id), axis=1)
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

    def __init__(self, graph: Graph, deployed: Deployed) -> None:
        self.nodes: list[NodeProto] = []
        self.constants: list[TensorProto] = []
        self._graph = graph
        self._deployed = deployed
        self._normalises = deployed.scale is not None or deployed.offset is not None

    def name(self, node: int) -> str:
        """The ONNX name of a node's value."""
        if node == self._graph.output:
            return LOGITS
        return IMAGE if node == self._graph.input.id and not self._normalises else f"t{node}"

    def add(self, op_type: str, inputs: list[str], output: str, **attributes: Attribute) -> None:
        made = helper.make_node(op_type, inputs, [output], f"{output}_{op_type}")
        made.attribute.extend(helper.make_attribute(name, value) for name, value in attributes.items())
        self.nodes.append(made)

    def constant(self, name: str, value: ArrayLike) -> str:
        self.constants.append(numpy_helper.from_array(np.asarray(value, np.float32), name))
        return name

    def write(self, tensor: StoredTensor) -> None:
        """The computation of one stored tensor: its producer, then the clip fused into it."""
        node, last = self._graph[tensor.producer], self._graph[tensor.node]
        output = self.name(tensor.node)
        if tensor.node == node.id or not isinstance(last.op, Clip):
            self._produce(node, output)
        else:
            self._produce(node, f"{output}_raw")
            self._clip(last, f"{output}_raw", output)

    def _produce(self, node: Node, output: str) -> None:
        inputs = [self.name(source) for source in node.inputs]
        match node.op:
            case Input():
                self._normalise(output)
            case Clip():
                self._clip(node, inputs[0], output)
            case Add():
                self._sum(inputs, output)
            case WeightedAdd():
                self._weighted_sum(node, inputs, output)
            case BatchNorm():
                channels = self._graph.shapes[node.id][0]
                self.add("Conv", inputs + self._weights(node.id), output, group=channels, kernel_shape=(1, 1))
            case Conv() | Linear():
                form = node.op.onnx()
                self.add(form.op_type, inputs + self._weights(node.id), output, **form.attributes)
            case _:
                form = node.op.onnx()
                self.add(form.op_type, inputs, output, **form.attributes)

    def _weights(self, node: int) -> list[str]:
        names = [f"{node}.weight", f"{node}.bias"]
        weights = self._deployed.weights
        return [self.constant(name, weights[name]) for name in names if name in weights]

    def _normalise(self, output: str) -> None:
        """image * scale + offset: one Add or Mul, or where both remain one depthwise convolution."""
        scale, offset = self._deployed.scale, self._deployed.offset
        if scale is not None and offset is not None:
            weights = [self.constant("scale", scale[:, None, None, None]), self.constant(OFFSET, offset)]
            self.add("Conv", [IMAGE, *weights], output, group=len(scale), kernel_shape=(1, 1))
        elif offset is not None:
            self.add("Add", [IMAGE, self.constant(OFFSET, offset[:, None, None])], output)

    def _clip(self, node: Node, source: str, output: str) -> None:
        assert isinstance(node.op, Clip)
        if node.op.is_relu:
            self.add("Relu", [source], output)
            return
        bounds = [
            self.constant(f"{node.id}.{name}", bound) if math.isfinite(bound) else ""
            for name, bound in (("low", node.op.low), ("high", node.op.high))
        ]
        self.add("Clip", [source, *bounds], output)

    def _sum(self, inputs: list[str], output: str) -> None:
        total = inputs[0]
        for place, term in enumerate(inputs[1:], start=2):
            partial = output if place == len(inputs) else f"{output}_sum{place}"
            self.add("Add", [total, term], partial)
            total = partial

    def _weighted_sum(self, node: Node, inputs: list[str], output: str) -> None:
        terms = []
        for place, (source, factor) in enumerate(zip(inputs, self._deployed.factors[node.id], strict=True)):
            if factor is None:
                terms.append(source)
                continue
            terms.append(f"{output}_term{place}")
            self.add("Mul", [source, self.constant(f"{node.id}.factor{place}", factor)], terms[-1])
        self.add("Add", terms, output)
