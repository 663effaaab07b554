"""One filter of a quantised convolution, recomputed exactly: what faults in its weights or its bias make of it.

A convolution of 8-bit values is a sum of integers, the same in every order. So the sums of the clean pass (ONNX Runtime's
ConvInteger, once for a micro-batch) plus (new - old weight) x input are those of a full pass, and what ONNX Runtime's
QLinearConv makes of a sum is plain: times x_scale w_scale / y_scale in float32, rounded half to even, plus the zero point.
Where the clean sums do not give the clean values bit by bit, or 16-bit partial sums saturate, there are no ``CleanSums``.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnx import GraphProto, NodeProto, TensorProto, helper, numpy_helper

from hwnas.deployed.memory import Change
from hwnas.device import load_profile, session

Integers = NDArray[np.integer[Any]]
Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantisedConv:
    """A convolution from 8-bit ``source`` to 8-bit ``target``, both names of activations; ``bias`` is "" where it has none.

    ``multipliers`` (filters, 1, 1): what sums are multiplied with before they are rounded; ``padding``: top, left, bottom, right.
    """

    source: str
    target: str
    weight: str
    bias: str
    source_zero: Integers
    target_zero: Integers
    multipliers: NDArray[np.float32]
    stride: tuple[int, int]
    padding: tuple[int, int, int, int]
    groups: int

    def quantised(self, sums: Integers, multipliers: NDArray[np.float32]) -> Integers:
        """What QLinearConv makes of sums."""
        limits, zero = np.iinfo(self.target_zero.dtype), np.float32(self.target_zero)
        values = np.rint(np.clip(sums.astype(np.float32) * multipliers, limits.min - zero, limits.max - zero))
        return np.asarray((values + zero).astype(self.target_zero.dtype))


class CleanSums:
    """A convolution's sums (n, filters, h, w) int32 in a clean pass over a micro-batch."""

    def __init__(self, conv: QuantisedConv, sums: Integers, x: Integers, words: Arrays) -> None:
        self._conv, self._sums, self._x, self._words = conv, sums, x, words

    @classmethod
    def of(cls, conv: QuantisedConv, words: Arrays, values: Arrays) -> "CleanSums | None":
        """From the words in memory and the clean activations; None where they are not what ONNX Runtime computes."""
        if not sums_are_exact():
            return None
        x, weight = values[conv.source], words[conv.weight]
        feeds = {"x": x, "w": weight, "zero": conv.source_zero}
        sums = _conv_integer(weight.shape, conv.stride, conv.padding, conv.groups).run(None, feeds)[0]
        if conv.bias:
            sums += words[conv.bias][:, None, None]
        agrees = np.array_equal(conv.quantised(sums, conv.multipliers), values[conv.target])
        return cls(conv, sums, x, words) if agrees else None

    def faulty(self, change: Change) -> tuple[int, Integers] | None:
        """The filter that a change hits, and its part (n, h, w) of the target then; None where it hits several."""
        conv, weight = self._conv, self._words[self._conv.weight]
        size = weight[0].size if change.tensor == conv.weight else 1
        filters = np.unique(change.elements // size)
        if len(filters) > 1:
            return None
        number = int(filters[0])
        sums = self._sums[:, number].copy()
        before = self._words[change.tensor].reshape(-1)[change.elements]
        differences = change.values.astype(np.int64) - before  # of int32 words: the sum is modulo 2^32, as the device's
        first = number // (len(weight) // conv.groups) * weight.shape[1]  # the first channel that the filter's group reads
        for element, difference in zip(change.elements.tolist(), differences.astype(np.int32), strict=True):
            if change.tensor == conv.weight:
                channel, row, column = np.unravel_index(element % size, weight.shape[1:])
                sums += difference * self._window(first + int(channel), int(row), int(column))
            else:
                sums += difference
        return number, conv.quantised(sums, conv.multipliers[number])

    def _window(self, channel: int, row: int, column: int) -> Integers:
        """What the weight at a place of a filter meets of an input channel, (n, h, w) int32, padding included."""
        conv, (height, width) = self._conv, self._sums.shape[2:]
        top, left, bottom, right = conv.padding
        plane = self._x[:, channel]
        padded = np.zeros((len(plane), plane.shape[1] + top + bottom, plane.shape[2] + left + right), np.int32)
        inside = padded[:, top : top + plane.shape[1], left : left + plane.shape[2]]
        np.subtract(plane, conv.source_zero, out=inside, dtype=np.int32)
        down, across = conv.stride
        return padded[:, row : row + down * height : down, column : column + across * width : across][:, :height, :width]


def quantised_convs(graph: GraphProto) -> dict[str, QuantisedConv]:
    """The convolutions of a QDQ file that can be computed in integers, by the names of their weights and of their biases."""
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    producers = {output: node for node in graph.node for output in node.output}
    readers: dict[str, list[NodeProto]] = {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    found: dict[str, QuantisedConv] = {}
    for node in graph.node:
        if node.op_type == "Conv" and (conv := _conv(node, constants, producers, readers)) is not None:
            found |= {name: conv for name in (conv.weight, conv.bias) if name and len(readers[name]) == 1}
    return found


def _conv(
    node: NodeProto, constants: Arrays, producers: Mapping[str, NodeProto], readers: Mapping[str, list[NodeProto]]
) -> QuantisedConv | None:
    """The convolution between its QuantizeLinear and its DequantizeLinears as integers; None where it is none of uint8 values.

    ONNX Runtime computes int8 activations in floats on x86.
    """
    made = [producers.get(name) for name in node.input]
    after = readers.get(node.output[0], [])
    if any(each is None or each.op_type != "DequantizeLinear" for each in made) or len(after) != 1:
        return None
    x, w, b = (*(each for each in made if each is not None), None)[:3]
    y, options = after[0], {each.name: helper.get_attribute_value(each) for each in node.attribute}
    assert x is not None
    assert w is not None
    plain = options.get("auto_pad", b"NOTSET") == b"NOTSET" and set(options.get("dilations", [1])) == {1}
    names = [*x.input[1:], *w.input, *y.input[1:], *(() if b is None else b.input)]
    if y.op_type != "QuantizeLinear" or not plain or any(name not in constants for name in names):
        return None
    if any(len(readers[each.output[0]]) > 1 for each in (w, b) if each is not None):  # tied: a fault hits other nodes too
        return None
    zeros = [constants[each.input[2]] if len(each.input) > 2 else np.zeros((), np.uint8) for each in (x, w, y)]
    scales = [constants[each.input[1]] for each in (x, w, y)]
    weight = constants[w.input[0]]
    if zeros[0].dtype != np.uint8 or np.any(zeros[1]) or weight.dtype != np.int8 or weight.ndim != 4 or scales[0].size > 1:
        return None
    multipliers = scales[0].astype(np.float32).reshape(()) * scales[1].reshape(-1) / scales[2].reshape(())
    return QuantisedConv(
        source=x.input[0],
        target=y.output[0],
        weight=w.input[0],
        bias="" if b is None else b.input[0],
        source_zero=zeros[0].reshape(()),
        target_zero=zeros[2].reshape(()),
        multipliers=np.broadcast_to(multipliers.astype(np.float32), len(weight)).reshape(-1, 1, 1),
        stride=tuple(options.get("strides", [1, 1])),
        padding=tuple(options.get("pads", [0] * 4)),
        groups=options.get("group", 1),
    )


@lru_cache(maxsize=64)
def _conv_integer(
    shape: tuple[int, ...], stride: tuple[int, int], padding: tuple[int, ...], groups: int
) -> onnxruntime.InferenceSession:
    node = helper.make_node(
        "ConvInteger", ["x", "w", "zero"], ["y"], strides=stride, pads=padding, group=groups, kernel_shape=shape[2:]
    )
    inputs = [
        helper.make_tensor_value_info("x", TensorProto.UINT8, ["n", shape[1] * groups, "h", "w"]),
        helper.make_tensor_value_info("w", TensorProto.INT8, list(shape)),
        helper.make_tensor_value_info("zero", TensorProto.UINT8, []),
    ]
    graph = helper.make_graph([node], "sums", inputs, [helper.make_tensor_value_info("y", TensorProto.INT32, None)])
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return session(proto.SerializeToString(), load_profile("local-cpu"))


@cache
def sums_are_exact() -> bool:
    """Whether this CPU's kernels add products of 8-bit values without saturation: not on x86 without int8 dot instructions."""
    shape = (1, 64, 1, 1)
    feeds = {"x": np.full(shape, 255, np.uint8), "w": np.full(shape, 127, np.int8), "zero": np.zeros((), np.uint8)}
    found = _conv_integer(shape, (1, 1), (0, 0, 0, 0), 1).run(None, feeds)[0]
    return int(found.item()) == 64 * 255 * 127
