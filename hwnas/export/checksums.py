"""Checksums of convolutions: a float32 file with one output more, which says where a layer did not compute what its weights say.

A convolution is linear: the sum of its output channels is the output of one filter, the sum of all its filters [Beyer2021]. That
filter is computed when the file is written, and the file compares both sums for every image. A bit that flips in the weights, the
biases or the computation of a layer moves one of them; the linear layer at the end is checked in the same way. What flips in a
feature map between two layers moves both sums alike and is not seen: for these is the guard (``hwnas.export.guard``).

Output ``checksum_mismatch`` (n, layers): of each image and layer the root of the summed squared differences, in units of the
layer's tolerance. A value that is not at most 1, NaN included, is an alarm; the first layer with one is where it came from, for
what lies behind it meets larger values than the training images gave. Float32 rounds the two sums otherwise, so a
tolerance is MARGIN times the largest difference on training images (our choice). In a depthwise or grouped convolution each
filter is added up in the place of the channels that it reads.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper

from hwnas.device import load_profile, session
from hwnas.device.model import CHECKSUMS, parse
from hwnas.errors import ExportError
from hwnas.export.emit import OFFSET

MARGIN = 4.0  # another CPU, or another number of images at once, sums in another order
BATCH = 64
LAYERS = ("Conv", "Gemm")
Array = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """A layer that is checked: its node, its filters (M, C / groups, ..) and their number of groups, its biases (M,) or None."""

    node: NodeProto
    filters: Array
    groups: int
    biases: Array | None

    @property
    def name(self) -> str:
        """What its constants and tensors are named after: what it computes."""
        return str(self.node.output[0])


def with_checksums(model: bytes, images: Array) -> bytes:
    """A float32 model that hwnas wrote with the output ``checksum_mismatch``, its tolerances taken from images (n, C, H, W).

    Its other output is what it was, but for the rounding of operators that ONNX Runtime no longer fuses. Raises ExportError for
    a model in another precision.
    """
    proto = parse(model)
    if any(node.op_type == "DequantizeLinear" for node in proto.graph.node):
        raise ExportError("checksums are for float32 files, an int8 file rounds every sum; add them to the float32 file")
    layers = layers_of(proto.graph)
    squares = [_checked(proto.graph, layer) for layer in layers]
    tolerances = _tolerances(proto, squares, images)
    nodes, constants = proto.graph.node, proto.graph.initializer
    constants.append(numpy_helper.from_array(np.asarray(tolerances**-2, np.float32), "checksum_scales"))
    nodes.append(helper.make_node("Concat", [square for square, _ in squares], ["checksum_squares"], "checksum_squares", axis=1))
    nodes.append(helper.make_node("Mul", ["checksum_squares", "checksum_scales"], ["checksum_scaled"], "checksum_scaled"))
    nodes.append(helper.make_node("Sqrt", ["checksum_scaled"], [CHECKSUMS], CHECKSUMS))
    batch = proto.graph.output[0].type.tensor_type.shape.dim[0].dim_param
    proto.graph.output.append(helper.make_tensor_value_info(CHECKSUMS, TensorProto.FLOAT, [batch, len(layers)]))
    proto.metadata_props.add(key="checksum_layers", value=", ".join(layer.name for layer in layers))
    serialised: bytes = proto.SerializeToString()
    return serialised


def layers_of(graph: onnx.GraphProto) -> list[Layer]:
    """The convolutions and linear layers of a file that hwnas wrote, but for the normalisation of the image."""
    constants = {tensor.name: tensor for tensor in graph.initializer}
    found = []
    for node in graph.node:
        is_check = node.name.endswith("_expected")  # of a file that has checksums already
        if node.op_type in LAYERS and not is_check and OFFSET not in node.input and node.input[1] in constants:
            arrays = [numpy_helper.to_array(constants[name]) for name in node.input[1:]]
            groups = next((attribute.i for attribute in node.attribute if attribute.name == "group"), 1)
            found.append(Layer(node=node, filters=arrays[0], groups=groups, biases=arrays[1] if len(arrays) > 1 else None))
    return found


def summed_filter(layer: Layer) -> Array:
    """The sum of a layer's filters as one filter over all its input channels, (1, C, ..), summed in double precision."""
    filters = layer.filters.astype(np.float64)
    by_group = filters.reshape(layer.groups, -1, *filters.shape[1:]).sum(1)  # (groups, C / groups, ..)
    return np.asarray(by_group.reshape(1, -1, *filters.shape[2:]), np.float32)


def alarms(mismatch: Array) -> NDArray[np.bool_]:
    """Of each image, (n,), whether any layer's mismatch (n, layers) is not within its tolerance; NaN is not."""
    return np.asarray(~(mismatch <= 1).all(1))


def _checked(graph: onnx.GraphProto, layer: Layer) -> tuple[str, str]:
    """Add a layer's check to the graph; gives the names of its summed squared differences (n, 1), and of its channels' sum."""
    name, is_conv = layer.name, layer.node.op_type == "Conv"
    constants = {f"{name}_sum_weight": summed_filter(layer)}
    if layer.biases is not None:
        constants[f"{name}_sum_bias"] = np.asarray([layer.biases.astype(np.float64).sum()], np.float32)
    constants[f"{name}_sum_axis"] = np.array([1])
    if is_conv:
        constants[f"{name}_sum_pixels"] = np.array([2, 3])
    graph.initializer.extend(numpy_helper.from_array(value, key) for key, value in constants.items())
    check = NodeProto()
    check.CopyFrom(layer.node)
    del check.input[1:], check.attribute[:]
    check.input.extend(key for key in constants if key.endswith(("_weight", "_bias")))
    check.attribute.extend(attribute for attribute in layer.node.attribute if attribute.name != "group")
    check.output[0] = check.name = f"{name}_expected"
    total, difference, square = f"{name}_total", f"{name}_difference", f"{name}_square"
    nodes = [
        check,
        helper.make_node("ReduceSum", [name, f"{name}_sum_axis"], [total], total, keepdims=1),
        helper.make_node("Sub", [total, check.output[0]], [difference], difference),
        helper.make_node("Mul", [difference, difference], [square], square),
    ]
    if is_conv:
        added = f"{name}_squares"
        nodes.append(helper.make_node("ReduceSum", [square, f"{name}_sum_pixels"], [added], added, keepdims=0))
        square = added
    place = next(place for place, node in enumerate(graph.node) if node.output[0] == name)
    for offset, node in enumerate(nodes, 1):
        graph.node.insert(place + offset, node)
    return square, total


def _tolerances(proto: onnx.ModelProto, checks: Sequence[tuple[str, str]], images: Array) -> NDArray[np.float64]:
    """MARGIN times the largest mismatch of each layer on these images, (layers,); never less than the sums' own rounding."""
    probe = onnx.ModelProto()
    probe.CopyFrom(proto)
    names = [name for pair in checks for name in pair]
    probe.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    opened = session(probe.SerializeToString(), load_profile("local-cpu"))
    image = opened.get_inputs()[0].name
    largest = np.zeros(len(checks))
    for batch in np.split(images, range(BATCH, len(images), BATCH)):
        values = opened.run(names, {image: batch})
        for place, (squares, total) in enumerate(zip(values[::2], values[1::2], strict=True)):
            rounding = np.finfo(np.float32).eps * float(np.linalg.norm(total.reshape(len(total), -1), axis=1).max())
            largest[place] = max(largest[place], float(np.sqrt(squares.max())), rounding, np.finfo(np.float32).tiny ** 0.5)
    return MARGIN * largest
