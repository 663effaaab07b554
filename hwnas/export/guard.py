"""Activation range restriction: every stored tensor clipped to the range that it has on training data.

A flipped exponent bit makes values that no clean image gives; clipped they do less harm [Chen2021, Ranger]. A ReLU becomes a
Clip, which ONNX Runtime fuses as well; other tensors get one of their own.
"""

from collections.abc import Mapping

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from hwnas.device import load_profile, session
from hwnas.device.model import parse
from hwnas.errors import ExportError

VIEWS = ("Flatten", "Reshape", "Identity", "Constant", "Cast")
BATCH = 64


def guarded(model: bytes, images: NDArray[np.float32]) -> bytes:
    """A float32 model with its activations clipped to what they are on training images (n, C, H, W), at least one.

    On these images it computes the very same. Raises ExportError for a model in another precision.
    """
    proto = parse(model)
    if any(node.op_type == "DequantizeLinear" for node in proto.graph.node):
        raise ExportError("an int8 file clips its activations already, by their scales; guard the float32 file")
    names = _guarded_names(proto.graph)
    found = _ranges(proto, names, images)
    kept: list[onnx.NodeProto] = []
    for node in proto.graph.node:
        kept += _clipped(node, found, proto.graph)
    del proto.graph.node[:]
    proto.graph.node.extend(kept)
    serialised: bytes = proto.SerializeToString()
    return serialised


def _guarded_names(graph: onnx.GraphProto) -> list[str]:
    """Every computed tensor that is stored: not a view, and not fused into the activation that alone reads it."""
    readers: dict[str, list[str]] = {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node.op_type)
    return [
        node.output[0]
        for node in graph.node
        if node.op_type not in VIEWS and readers.get(node.output[0]) not in (["Relu"], ["Clip"])
    ]


def _ranges(proto: onnx.ModelProto, names: list[str], images: NDArray[np.float32]) -> Mapping[str, tuple[float, float]]:
    probe = onnx.ModelProto()
    probe.CopyFrom(proto)
    outputs = {put.name for put in probe.graph.output}
    probe.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names if name not in outputs)
    opened = session(probe.SerializeToString(), load_profile("local-cpu"))
    image = opened.get_inputs()[0].name
    low, high = np.full(len(names), np.inf), np.full(len(names), -np.inf)
    for batch in np.split(images, range(BATCH, len(images), BATCH)):
        for place, values in enumerate(opened.run(names, {image: batch})):
            low[place], high[place] = min(low[place], values.min()), max(high[place], values.max())
    wider = np.maximum(high, np.nextafter(low.astype(np.float32), np.float32(np.inf)))  # a constant tensor still has a range
    return {name: (float(a), float(b)) for name, a, b in zip(names, low, wider, strict=True)}


def _clipped(node: onnx.NodeProto, ranges: Mapping[str, tuple[float, float]], graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    name = node.output[0] if node.output else ""
    if name not in ranges:
        return [node]
    bounds = []
    for end, bound in zip(("low", "high"), ranges[name], strict=True):
        bounds.append(f"{name}_guard_{end}")
        graph.initializer.append(numpy_helper.from_array(np.asarray(bound, np.float32), bounds[-1]))
    if node.op_type in ("Relu", "Clip"):
        return [helper.make_node("Clip", [node.input[0], *bounds], [name], node.name)]
    free = onnx.NodeProto()
    free.CopyFrom(node)
    free.output[0] = f"{name}_free"
    return [free, helper.make_node("Clip", [free.output[0], *bounds], [name], f"{name}_guard")]
