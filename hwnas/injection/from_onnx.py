"""A user's own float ONNX classifier as a graph and its deployed weights, so that it can be faulted like our own.

Every operator is translated or refused by name; what was translated is compared with ONNX Runtime on random images.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper

from hwnas.deployed import Folded, Program
from hwnas.device import input_specs, load_profile, session
from hwnas.device.model import parse
from hwnas.errors import GraphError, ModelError, UnsupportedOperatorError
from hwnas.graph import (
    Add,
    AvgPool,
    Clip,
    Concat,
    Conv,
    Flatten,
    GlobalAvgPool,
    Graph,
    Input,
    Linear,
    MaxPool,
    Node,
    Op,
    ScaledAdd,
)
from hwnas.injection.constants import constants_of
from hwnas.injection.image_input import image_of
from hwnas.injection.logits import cut_at_logits

TOLERANCE, HALF_TOLERANCE = 1e-3, 1e-2  # of max(1, largest logit); the second where weights are float16
FLOATS = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE)
Array = NDArray[np.float32]


def from_onnx(model: bytes) -> tuple[Graph, Folded]:
    """The graph and weights of a float32 or float16 classifier of images (n, C, H, W), its one input.

    Raises UnsupportedOperatorError naming the operators that cannot be taken and the weights behind those that can, and
    ModelError for what no engine should take.
    """
    proto = cut_at_logits(parse(model))
    original = proto.SerializeToString()
    for node in _shape_arithmetic(proto.graph):
        proto.graph.node.remove(node)
    translation = _Translation(proto)
    translation.refuse_unknown()
    for node in proto.graph.node:
        translation.translate(node)
    try:
        graph = Graph(tuple(translation.nodes), translation.held[proto.graph.output[0].name])
    except (GraphError, KeyError) as error:
        raise UnsupportedOperatorError(f"the file is no classifier of images that can be faulted: {error}") from error
    for name, shape in graph.tensors().items():
        if name in translation.weights and translation.weights[name].shape != tuple(shape):
            raise UnsupportedOperatorError(
                f"a layer reads {shape} weights and has {translation.weights[name].shape}: a reshape is no flatten"
            )
    folded = Folded(weights=translation.weights, scale=translation.scale, offset=translation.offset)
    _compare(original, Program(graph, folded))
    return graph, folded


class _Translation:
    """What has been translated: nodes, their weights, and which node holds each named value."""

    def __init__(self, proto: onnx.ModelProto) -> None:
        self.graph = proto.graph
        self.constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in self.graph.initializer}
        image, (channels, height, width) = image_of(self.graph, self.constants, FLOATS)
        self.nodes: list[Node] = [Node(1, Input(channels=channels, height=height, width=width))]
        self.held = {image: 1}
        self.weights: dict[str, Array] = {}
        self.scale: Array | None = None
        self.offset: Array | None = None
        self._factors: dict[str, tuple[int, float]] = {}
        self._taken: list[Array] = []
        self._readers: dict[str, int] = {}
        for node in self.graph.node:
            for name in node.input:
                self._readers[name] = self._readers.get(name, 0) + 1

    def refuse_unknown(self) -> None:
        """Raise UnsupportedOperatorError where an operator is not known, saying which layers could still be faulted."""
        unknown = sorted({node.op_type for node in self.graph.node} - _TRANSLATE.keys())
        if unknown:
            reachable = []
            for node in self.graph.node:
                if node.op_type in unknown:
                    break
                reachable += [name for name in node.input if name in self.constants and self.constants[name].ndim >= 2]
            part = (
                f"the weights before them could be faulted ({', '.join(reachable)})"
                if reachable
                else "no weights come before them"
            )
            raise UnsupportedOperatorError(
                f"operators {', '.join(unknown)} are not supported; {part}: export the model without them, or cut it there. "
                f"Supported are {', '.join(sorted(_TRANSLATE))}. Quantised to an int8 (QDQ) file the whole model can be faulted: "
                "--dtype int8 takes every operator"
            )

    def translate(self, node: NodeProto) -> None:
        """Take one operator in."""
        try:
            _TRANSLATE[node.op_type](self, node)
        except (GraphError, KeyError, IndexError) as error:
            raise UnsupportedOperatorError(
                f"operator {node.op_type} {node.name!r} cannot be faulted as it stands here: {error}"
            ) from error

    def refuse(self, node: NodeProto, why: str) -> UnsupportedOperatorError:
        return UnsupportedOperatorError(f"operator {node.op_type} {node.name!r}: {why}")

    def add(self, node: NodeProto, op: Op, *sources: int) -> int:
        made = Node(len(self.nodes) + 1, op, sources)
        self.nodes.append(made)
        self.held[node.output[0]] = made.id
        return made.id

    def source(self, node: NodeProto, place: int = 0) -> int:
        return self.held[node.input[place]]

    def constant(self, node: NodeProto, place: int) -> Array | None:
        if place >= len(node.input) or not node.input[place]:
            return None
        return np.asarray(self.constants[node.input[place]], np.float32)

    def weight(self, node: NodeProto) -> Array:
        constant = self.constants[node.input[1]]
        if any(constant is other for other in self._taken):  # in memory once: a fault in them hits every layer
            raise self.refuse(node, "layers that share their weights are not taken")
        self._taken.append(constant)
        return np.asarray(constant, np.float32)

    def alias(self, node: NodeProto) -> None:
        if node.input[0] in self.constants:
            self.constants[node.output[0]] = self.constants[node.input[0]]
        elif node.input[0] in self._factors:
            self._factors[node.output[0]] = self._factors[node.input[0]]
        else:
            self.held[node.output[0]] = self.source(node)

    def is_constant(self, node: NodeProto, place: int) -> bool:
        return node.input[place] in self.constants

    def weighted(self, node: NodeProto, op: Op, weight: Array, bias: Array | None) -> None:
        made = self.add(node, op, self.source(node))
        self.weights[f"{made}.weight"] = np.array(weight, np.float32)
        if bias is not None:
            self.weights[f"{made}.bias"] = np.array(bias, np.float32)

    def arithmetic(self, node: NodeProto) -> None:
        """Add, Sub, Mul or Div: of the image and constants, a bias, a factor before an addition, or of two tensors."""
        constant = [place for place in (0, 1) if self.is_constant(node, place)]
        if not constant:
            self._addition(node)
            return
        (place,) = constant[:1]
        value, other = np.asarray(self.constants[node.input[place]], np.float32), 1 - place
        name = node.input[other]
        if self.held.get(name) == 1 and (place == 1 or node.op_type in ("Add", "Mul")):
            self._normalise(node, value)
        elif node.op_type == "Mul" and value.size == 1:
            self._factors[node.output[0]] = (self.held[name], float(value.reshape(())))
        elif node.op_type == "Add" and isinstance(op := self.nodes[self.held[name] - 1].op, Linear) and self._readers[name] == 1:
            last = self.held[name]
            self.weights[f"{last}.bias"] = self.weights.get(f"{last}.bias", np.float32(0)) + value.reshape(-1)
            self.nodes[last - 1] = replace(self.nodes[last - 1], op=replace(op, bias=True))
            self.held[node.output[0]] = last
        else:
            raise self.refuse(
                node, "arithmetic with constants is taken on the image, as a bias of a linear layer, or as a factor"
            )

    def _normalise(self, node: NodeProto, value: Array) -> None:
        if self._readers[node.input[0]] > 1 or value.size not in (1, self._channels):
            raise self.refuse(node, "a normalisation has one constant a channel, and only it reads the image")
        each = np.broadcast_to(value.reshape(-1), (self._channels,)).astype(np.float32)
        scale = np.ones_like(each) if self.scale is None else self.scale
        offset = np.zeros_like(each) if self.offset is None else self.offset
        match node.op_type:
            case "Add":
                offset = offset + each
            case "Sub":
                offset = offset - each
            case "Mul":
                scale, offset = scale * each, offset * each
            case _:
                scale, offset = scale / each, offset / each
        self.scale, self.offset = scale, offset
        self.held[node.output[0]] = 1

    @property
    def _channels(self) -> int:
        image = self.nodes[0].op
        assert isinstance(image, Input)
        return image.channels

    def _addition(self, node: NodeProto) -> None:
        if node.op_type not in ("Add", "Sum"):
            raise self.refuse(node, "only additions of two tensors are taken")
        if any(name in self._factors for name in node.input):
            terms = [self._factors.get(name) or (self.held[name], 1.0) for name in node.input]
            (one, a), (other, b) = terms
            self.add(node, ScaledAdd(factors=(a, b)), one, other)
        else:
            self.add(node, Add(), *(self.held[name] for name in node.input))


def _shape_arithmetic(graph: onnx.GraphProto) -> list[NodeProto]:
    """The nodes that compute nothing but what a Reshape makes of the batch: x.view(x.size(0), -1), as torch exports it."""
    readers: dict[str, list[tuple[NodeProto, int]]] = {}
    for node in graph.node:
        for place, name in enumerate(node.input):
            readers.setdefault(name, []).append((node, place))
    found: list[NodeProto] = []
    for node in reversed(graph.node):
        reads = [each for name in node.output for each in readers.get(name, [])]
        only_shapes = reads and all((other.op_type == "Reshape" and place == 1) or other in found for other, place in reads)
        if only_shapes and node.op_type != "Constant":
            found.append(node)
    return found


def _attributes(node: NodeProto) -> dict[str, object]:
    return {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}


def _window(made: _Translation, node: NodeProto, kernel: list[int]) -> tuple[int, int, int]:
    """Kernel, stride and padding of a square window. Raises UnsupportedOperatorError for any other."""
    found = _attributes(node)
    strides, pads, dilations = (
        list(found.get(name, default))  # type: ignore[call-overload]
        for name, default in (("strides", [1, 1]), ("pads", [0] * 4), ("dilations", [1, 1]))
    )
    auto = found.get("auto_pad", b"NOTSET")
    square = len(set(kernel)) == len(set(strides)) == len(set(pads)) == 1 and set(dilations) == {1}
    if not square or auto not in (b"NOTSET", b"VALID") or found.get("ceil_mode", 0):
        raise made.refuse(node, "only square windows with even padding and without dilation are taken")
    return kernel[0], strides[0], pads[0]


def _conv(made: _Translation, node: NodeProto) -> None:
    weight, bias = made.weight(node), made.constant(node, 2)
    kernel, stride, padding = _window(made, node, list(weight.shape[2:]))
    groups = int(_attributes(node).get("group", 1))  # type: ignore[call-overload]
    op = Conv(out_channels=len(weight), kernel=kernel, padding=padding, stride=stride, groups=groups, bias=bias is not None)
    made.weighted(node, op, weight, bias)


def _batch_norm(made: _Translation, node: NodeProto) -> None:
    """Scale and offset of each channel, as a depthwise 1x1 convolution."""
    scale, offset, mean, var = (np.asarray(made.constants[name], np.float64) for name in node.input[1:5])
    factor = scale / np.sqrt(var + float(_attributes(node).get("epsilon", 1e-5)))  # type: ignore[arg-type]
    op = Conv(out_channels=len(factor), kernel=1, padding=0, groups=len(factor), bias=True)
    made.weighted(node, op, factor[:, None, None, None].astype(np.float32), (offset - mean * factor).astype(np.float32))


def _linear(made: _Translation, node: NodeProto) -> None:
    weight, found = made.weight(node), _attributes(node)
    if found.get("transA", 0) or found.get("alpha", 1.0) != 1.0 or found.get("beta", 1.0) != 1.0 or weight.ndim != 2:
        raise made.refuse(node, "only plain products with a matrix of weights are taken")
    weight = weight if found.get("transB", 0) else weight.T
    bias = made.constant(node, 2)
    made.weighted(
        node,
        Linear(out_features=len(weight), bias=bias is not None),
        np.ascontiguousarray(weight),
        None if bias is None else bias.reshape(-1),
    )


def _relu(made: _Translation, node: NodeProto) -> None:
    made.add(node, Clip(), made.source(node))


def _global_pool(made: _Translation, node: NodeProto) -> None:
    made.add(node, GlobalAvgPool(), made.source(node))


def _clip(made: _Translation, node: NodeProto) -> None:
    old = _attributes(node)  # until opset 10
    low, high = made.constant(node, 1), made.constant(node, 2)
    bounds = old.get("min", -np.inf) if low is None else low, old.get("max", np.inf) if high is None else high
    made.add(node, Clip(low=float(bounds[0]), high=float(bounds[1])), made.source(node))  # type: ignore[arg-type]


def _pool(made: _Translation, node: NodeProto) -> None:
    found = _attributes(node)
    kernel, stride, padding = _window(made, node, list(found["kernel_shape"]))  # type: ignore[call-overload]
    if node.op_type == "AveragePool" and padding and not found.get("count_include_pad", 0):
        raise made.refuse(node, "average pools must count their padding")
    pool = MaxPool if node.op_type == "MaxPool" else AvgPool
    made.add(node, pool(kernel=kernel, stride=stride, padding=padding), made.source(node))


def _mean(made: _Translation, node: NodeProto) -> None:
    found = _attributes(node)
    axes = found.get("axes", made.constants[node.input[1]].tolist() if len(node.input) > 1 else None)
    if axes is None or sorted(int(axis) % 4 for axis in axes) != [2, 3]:  # type: ignore[attr-defined]
        raise made.refuse(node, "means are taken over height and width")
    pooled = made.add(node, GlobalAvgPool(), made.source(node))
    if not found.get("keepdims", 1):
        made.add(node, Flatten(), pooled)


def _flatten(made: _Translation, node: NodeProto) -> None:
    target = made.constants.get(node.input[1]) if node.op_type == "Reshape" else None
    if target is not None and len(target) != 2:  # one that was computed from shapes is left to the comparison with the file
        raise made.refuse(node, "reshapes must flatten all but the batch")
    made.add(node, Flatten(), made.source(node))


def _concat(made: _Translation, node: NodeProto) -> None:
    if _attributes(node).get("axis") not in (1, -3):
        raise made.refuse(node, "concatenation is along the channels")
    made.add(node, Concat(), *(made.held[name] for name in node.input))


def _constant(made: _Translation, node: NodeProto) -> None:
    made.constants[node.output[0]] = numpy_helper.to_array(_attributes(node)["value"])  # type: ignore[arg-type]


_TRANSLATE: Mapping[str, Callable[[_Translation, NodeProto], None]] = {
    "Conv": _conv,
    "BatchNormalization": _batch_norm,
    "Gemm": _linear,
    "MatMul": _linear,
    "Relu": _relu,
    "Clip": _clip,
    "MaxPool": _pool,
    "AveragePool": _pool,
    "GlobalAveragePool": _global_pool,
    "ReduceMean": _mean,
    "Flatten": _flatten,
    "Reshape": _flatten,
    "Squeeze": _flatten,
    "Concat": _concat,
    "Add": _Translation.arithmetic,
    "Sum": _Translation.arithmetic,
    "Sub": _Translation.arithmetic,
    "Mul": _Translation.arithmetic,
    "Div": _Translation.arithmetic,
    "Identity": _Translation.alias,
    "Dropout": _Translation.alias,
    "Cast": _Translation.alias,
    "Constant": _constant,
}


def _compare(model: bytes, program: Program) -> None:
    """Raise ModelError unless the translation computes what the file does."""
    shape = program.graph.shapes[program.graph.input.id]
    (spec,) = input_specs(model)
    opened = session(model, load_profile("local-cpu"))
    images = np.random.default_rng(0).random((spec.fixed_batch or 1, *shape), dtype=np.float32).astype(spec.dtype)
    expected = opened.run(None, {opened.get_inputs()[0].name: images})[0].astype(np.float32)
    with torch.inference_mode():
        got = program.run(torch.from_numpy(images.astype(np.float32))).numpy()
    halves = any(tensor.data_type == TensorProto.FLOAT16 for tensor in constants_of(parse(model).graph).values())
    tolerance = HALF_TOLERANCE if halves else TOLERANCE
    if expected.shape != got.shape or not np.abs(expected - got).max() <= tolerance * max(1.0, float(np.abs(expected).max())):
        raise ModelError(
            "the file does not compute what its operators say as they were read; it cannot be faulted, please report it"
        )
