"""Faults in the real tensors of an int8 (QDQ) ONNX file, run by ONNX Runtime.

One suffix session per tensor: the part of the file behind it, cut at the 8-bit activations, that tensor an input. So a fault
costs only what it can reach; the arithmetic is ONNX Runtime's own. All weights as inputs would be slower than a full pass.
Of a convolution only the filter that a fault hits is computed (quantised_conv.py), and nothing behind it where that one stays.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper, version_converter

from hwnas.deployed.memory import Change, Memory
from hwnas.deployed.protection import Share
from hwnas.device import HardwareProfile, load_profile, session
from hwnas.device.agent import ORT_ERRORS
from hwnas.device.model import parse
from hwnas.errors import ModelError
from hwnas.export.emit import OFFSET
from hwnas.injection.bit_errors import Masks
from hwnas.injection.identity import file_sha256
from hwnas.injection.predictions import Predictions, classes_of, masked_rows
from hwnas.injection.quantised_conv import CleanSums, quantised_convs
from hwnas.injection.simulator import Upset
from hwnas.injection.target import FaultSimulator, Images
from hwnas.onnxfiles.constants import constants_of
from hwnas.onnxfiles.image_input import BATCH, for_any_batch, image_of
from hwnas.onnxfiles.logits import cut_at_logits
from hwnas.resilience import INT8, INT32, Population, Role, TensorBits

XOR_OPSET = 18  # the first with BitwiseXor
HEAVY = ("Conv", "ConvTranspose", "Gemm", "MatMul", "LSTM", "GRU", "RNN", "Einsum")
_FLOATS = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.DOUBLE)
_STORED = {TensorProto.INT8: INT8, TensorProto.INT32: INT32}


class QdqTarget:
    """An int8 network. Weights are its int8 tensors, biases its int32 ones, activations its 8-bit stored tensors."""

    def __init__(self, model: bytes, profile: HardwareProfile | None = None) -> None:
        """Raises ModelError for a file that is no classifier of images with quantised weights."""
        self._proto = for_any_batch(cut_at_logits(parse(model)))
        self._profile = load_profile("local-cpu") if profile is None else profile
        graph = self._proto.graph
        self._initialisers = {tensor.name: tensor for tensor in graph.initializer}
        self._producer = {output: node for node in graph.node for output in node.output}
        self.image, self.shape = image_of(graph, self._initialisers)
        self.logits = graph.output[0].name
        self.memory = self._memory()
        self.function_sha256 = file_sha256(self._proto, self.memory.arrays)
        self.quantised = [
            node.output[0] for node in graph.node if node.op_type == "QuantizeLinear" and node.input[0] not in self._initialisers
        ]
        self._clean = self.full(outputs=self.quantised)
        try:
            probe = self.clean(np.zeros((2, *self.shape), np.float32))
        except ORT_ERRORS as error:
            raise ModelError(
                f"ONNX Runtime cannot run the file for several images at once: {str(error).splitlines()[0]}; export it with a "
                "dynamic batch"
            ) from error
        if probe[0].ndim != 2 or len(probe[0]) != 2 or probe[0].dtype.kind != "f":
            raise ModelError(
                f"expected a classifier with one output, logits (n, classes), got {probe[0].dtype} {tuple(probe[0].shape)} for 2"
            )
        self.classes = int(probe[0].shape[1])
        self._shapes = {name: value.shape[1:] for name, value in zip(self.quantised, probe[1:], strict=True)}
        self._types = {name: value.dtype for name, value in zip(self.quantised, probe[1:], strict=True)}
        wide = [name for name, kind in self._types.items() if kind not in (np.uint8, np.int8)]
        if wide:
            raise ModelError(
                f"expected 8-bit activations, {', '.join(wide)} have {self._types[wide[0]]}; quantise with activation_type QUInt8"
            )
        self.is_unsigned = all(kind == np.uint8 for kind in self._types.values())
        self.activations = Population(
            tensors=tuple(
                TensorBits(name=name, layer=name.removesuffix("_QuantizeLinear_Output"), role=Role.ACTIVATION,
                           size=int(np.prod(self._shapes[name])), format=INT8)
                for name in self.quantised
            )
        )  # fmt: skip
        self.convs = quantised_convs(graph)
        self._disturbable: onnxruntime.InferenceSession | None = None
        self._suffixes: dict[str, tuple[onnxruntime.InferenceSession, tuple[str, ...]]] = {}
        self.costs: Mapping[str, float] = self._costs()

    def engine(self, images: Images) -> FaultSimulator:
        """An engine that keeps the 8-bit activations of the clean pass."""
        return QdqSimulator(self, np.ascontiguousarray(images, np.float32))

    def expected_shares(self, images: Images, *, weights: bool) -> tuple[Share, ...]:
        """Nothing: ONNX Runtime gives no gradients."""
        return ()

    def clean(self, images: Images) -> list[NDArray[Any]]:
        """Logits and 8-bit activations of a pass without faults."""
        found: list[NDArray[Any]] = self._clean.run([self.logits, *self.quantised], {self.image: images})
        return found

    def full(self, outputs: Iterable[str] = (), changes: Sequence[Change] = ()) -> onnxruntime.InferenceSession:
        """A session of the whole file, with more outputs or other words in memory."""
        proto = onnx.ModelProto()
        proto.CopyFrom(self._proto)
        proto.graph.output.extend(onnx.ValueInfoProto(name=name) for name in outputs)
        for change in changes:
            (tensor,) = (tensor for tensor in proto.graph.initializer if tensor.name == change.tensor)
            tensor.CopyFrom(numpy_helper.from_array(self.memory.changed(change), change.tensor))
        return session(proto.SerializeToString(), self._profile)

    def suffix(self, tensor: str) -> tuple[onnxruntime.InferenceSession, tuple[str, ...]]:
        """The session behind a tensor, and the clean activations that it takes besides."""
        if tensor not in self._suffixes:
            nodes, boundary = self._behind(tensor)
            needed = {name for node in nodes for name in node.input}
            inputs = [self._input(name) for name in (tensor, *boundary)]
            constants = [value for name, value in self._initialisers.items() if name in needed and name != tensor]
            graph = helper.make_graph(nodes, "suffix", inputs, list(self._proto.graph.output), constants)
            proto = helper.make_model(graph, opset_imports=self._proto.opset_import, ir_version=self._proto.ir_version)
            self._suffixes[tensor] = session(proto.SerializeToString(), self._profile), boundary
        return self._suffixes[tensor]

    def disturbable(self) -> onnxruntime.InferenceSession:
        """The whole file, every 8-bit activation XORed with an input ``<its name>_mask`` (uint8, of its shape)."""
        if self._disturbable is None:
            proto, nodes = _with_xor(self._proto), []
            for node in proto.graph.node:
                made = onnx.NodeProto()
                made.CopyFrom(node)
                made.input[:] = [f"{name}_hit" if name in self._shapes else name for name in node.input]
                nodes.append(made)
                if node.output[0] in self._shapes:
                    name = node.output[0]
                    nodes.append(helper.make_node("BitwiseXor", [name, f"{name}_mask"], [f"{name}_hit"]))
            del proto.graph.node[:]
            proto.graph.node.extend(nodes)
            for name in self.quantised:
                kind = helper.np_dtype_to_tensor_dtype(self._types[name])
                proto.graph.input.append(helper.make_tensor_value_info(f"{name}_mask", kind, [BATCH, *self._shapes[name]]))
            self._disturbable = session(proto.SerializeToString(), self._profile)
        return self._disturbable

    def masks(self, images: int, masks: Masks) -> dict[str, NDArray[np.generic]]:
        """Masks (images, elements), by number of the activation, as ``disturbable`` takes them; zeros for the others."""
        feeds: dict[str, NDArray[np.generic]] = {}
        for number, name in enumerate(self.quantised):
            shape = (images, *self._shapes[name])
            mask = masks[number].reshape(shape) if number in masks else np.zeros(shape, np.uint8)
            feeds[f"{name}_mask"] = mask.view(self._types[name])
        return feeds

    def _behind(self, tensor: str) -> tuple[list[NodeProto], tuple[str, ...]]:
        """Nodes that depend on a tensor or are needed by such, in order, and where they are cut off from the rest."""
        reached, kept, boundary = {tensor}, set(), []
        order = list(self._proto.graph.node)
        for place, node in enumerate(order):
            if reached & set(node.input):
                kept.add(place)
                reached |= set(node.output)
        place_of = {output: place for place, node in enumerate(order) for output in node.output}
        waiting = [name for place in sorted(kept) for name in order[place].input]
        seen = set(reached)
        while waiting:
            name = waiting.pop(0)
            if not name or name in seen or name in self._initialisers:
                continue
            seen.add(name)
            if name in self._shapes or name == self.image:
                boundary.append(name)
            else:
                kept.add(place_of[name])
                waiting += order[place_of[name]].input
        return [order[place] for place in sorted(kept)], tuple(boundary)

    def _input(self, name: str) -> onnx.ValueInfoProto:
        if name in self._initialisers:
            constant = self._initialisers[name]
            return helper.make_tensor_value_info(name, constant.data_type, list(constant.dims))
        kind = TensorProto.FLOAT if name == self.image else helper.np_dtype_to_tensor_dtype(self._types[name])
        shape = self.shape if name == self.image else self._shapes[name]
        return helper.make_tensor_value_info(name, kind, [BATCH, *shape])

    def _memory(self) -> Memory:
        arrays, tensors = {}, []
        readers = {name: node for node in self._proto.graph.node for name in node.input}
        for node in self._proto.graph.node:
            constant = self._initialisers.get(node.input[0]) if node.op_type == "DequantizeLinear" else None
            if constant is None or constant.name in arrays:
                continue
            reader = readers.get(node.output[0])
            if constant.data_type not in _STORED:
                if reader is None or reader.op_type not in HEAVY:
                    continue  # a constant operand, of the activations' type
                kind = TensorProto.DataType.Name(constant.data_type).lower()
                raise ModelError(f"expected int8 weights, {constant.name!r} are {kind}; quantise with weight_type QInt8")
            layout = _STORED[constant.data_type]
            arrays[constant.name] = numpy_helper.to_array(constant)
            layer = constant.name if reader is None else _layer(reader)
            role = Role.WEIGHT if layout is INT8 else Role.BIAS
            size = int(arrays[constant.name].size)
            tensors.append(TensorBits(name=constant.name, layer=layer, role=role, size=size, format=layout))
        if not tensors:
            raise ModelError(
                "expected an int8 (QDQ) model, got one without quantised weights; use --dtype float32, and QDQ instead of the "
                "QOperator form"
            )
        self._refuse_float_weights()
        return Memory(tensors, arrays)

    def _refuse_float_weights(self) -> None:
        """Raise ModelError for weights that were left out of the quantisation: they would be left out of the memory."""
        constants = constants_of(self._proto.graph)
        for node in self._proto.graph.node:
            if node.op_type not in HEAVY or OFFSET in node.input:  # the image's normalisation is ours
                continue
            for name in node.input:
                if name in constants and constants[name].data_type in _FLOATS and len(constants[name].dims) >= 2:
                    kind = TensorProto.DataType.Name(constants[name].data_type).lower()
                    raise ModelError(
                        f"expected int8 weights, {name!r} of {node.op_type} {node.name!r} are {kind}; quantise that operator "
                        "too, or give the float32 file and --dtype float32"
                    )

    def _costs(self) -> dict[str, float]:
        heavy = max(1, sum(node.op_type in HEAVY for node in self._proto.graph.node))
        names = {tensor.layer: tensor.name for tensor in (*self.memory.population.tensors, *self.activations.tensors)}
        starts = {layer: self.convs[name].target if name in self.convs else name for layer, name in names.items()}
        return {
            layer: 0.05 + sum(node.op_type in HEAVY for node in self._behind(name)[0]) / heavy for layer, name in starts.items()
        }


class QdqSimulator:
    """An int8 network before one micro-batch of images."""

    def __init__(self, bench: QdqTarget, images: Images) -> None:
        self._bench, self._images = bench, images
        names = [bench.logits, *bench.quantised]
        found = bench.clean(images)
        self._values: Mapping[str, NDArray[np.generic]] = {**dict(zip(names, found, strict=True)), bench.image: images}
        self._logits: NDArray[np.float32] = found[0]
        self._sums: dict[str, CleanSums | None] = {}
        self._faithful: dict[str, bool] = {}
        self.classes = classes_of(self._logits)

    def weights(self, changes: Sequence[Change]) -> Predictions:
        """The answers with these words in memory."""
        if not changes:  # a low bit error rate hits nothing
            return self._answers(self._logits)
        if len(changes) > 1:
            return self.naive(changes)
        (change,) = changes
        return self._by_filter(change) or self._by_suffix(change) or self.naive(changes)

    def naive(self, changes: Sequence[Change]) -> Predictions:
        """The same by a full pass of a file with other weights."""
        logits = self._bench.full(changes=changes).run([self._bench.logits], {self._bench.image: self._images})[0]
        return self._answers(logits)

    def stored(self, step: int) -> NDArray[np.int8]:
        """The words of a stored tensor in the clean pass, (n, elements), unsigned ones read as int8."""
        clean = self._values[self._bench.activations.tensors[step].name]
        return np.ascontiguousarray(clean).reshape(len(clean), -1).view(np.int8)

    def activations(self, step: int, upsets: Sequence[Upset]) -> Predictions:
        """The answers with these bits of one stored tensor flipped."""
        name = self._bench.activations.tensors[step].name
        clean = self._values[name]
        words = np.array(clean).reshape(len(clean), -1)
        flat = words.view(np.uint8)
        for upset in upsets:
            flat[upset.image, upset.element] ^= np.uint8(upset.mask)
        return self._behind(name, words.reshape(clean.shape))

    def disturbed(self, masks: Masks) -> Predictions:
        """The answers with bits flipped in many stored tensors, by a full pass."""
        feeds = {self._bench.image: self._images, **self._bench.masks(len(self._images), masks)}
        return self._answers(self._bench.disturbable().run([self._bench.logits], feeds)[0])

    def _by_filter(self, change: Change) -> Predictions | None:
        """The answers where one filter of a convolution is hit; None elsewhere."""
        conv = self._bench.convs.get(change.tensor)
        if conv is None:
            return None
        if conv.weight not in self._sums:
            self._sums[conv.weight] = CleanSums.of(conv, self._bench.memory.arrays, self._values)
        sums = self._sums[conv.weight]
        found = None if sums is None else sums.faulty(change)
        if found is None:
            return None
        (number, part), clean = found, self._values[conv.target]
        if np.array_equal(part, clean[:, number]):
            return self._answers(self._logits)
        value = clean.copy()
        value[:, number] = part
        return self._behind(conv.target, value)

    def _by_suffix(self, change: Change) -> Predictions | None:
        """The answers by the suffix that takes the weight as an input; None where ONNX Runtime computes that otherwise.

        So it does for biases of int8 activations: their sums overflow in integers here and do not in floats there.
        """
        name, memory = change.tensor, self._bench.memory
        if name not in self._faithful:
            same = np.array_equal(self._logits_behind(name, memory.arrays[name]), self._logits)
            self._faithful[name] = same and (memory.formats[name] is not INT32 or self._bench.is_unsigned)
        return self._behind(name, memory.changed(change)) if self._faithful[name] else None

    def _behind(self, name: str, value: NDArray[np.generic]) -> Predictions:
        return self._answers(self._logits_behind(name, value))

    def _logits_behind(self, name: str, value: NDArray[np.generic]) -> NDArray[np.float32]:
        opened, boundary = self._bench.suffix(name)
        feeds = {name: value, **{other: self._values[other] for other in boundary}}
        logits: NDArray[np.float32] = opened.run([self._bench.logits], feeds)[0]
        return logits

    def _answers(self, logits: NDArray[np.float32]) -> Predictions:
        return Predictions(classes=classes_of(logits), masked=masked_rows(logits, self._logits))


def _layer(node: NodeProto) -> str:
    name: str = node.output[0]
    return name.removesuffix("_QuantizeLinear_Input").removesuffix("_raw")


def _with_xor(proto: onnx.ModelProto) -> onnx.ModelProto:
    """A copy in an opset that has BitwiseXor. Raises ModelError where its operators cannot be brought there."""
    found = onnx.ModelProto()
    found.CopyFrom(proto)
    version = max(opset.version for opset in proto.opset_import if opset.domain in ("", "ai.onnx"))
    if version >= XOR_OPSET:
        return found
    try:
        return version_converter.convert_version(found, XOR_OPSET)
    except (RuntimeError, version_converter.ConvertError) as error:
        raise ModelError(
            f"the file cannot be brought from opset {version} to {XOR_OPSET}: {error}; export it with opset {XOR_OPSET}"
        ) from error
