"""Faults in a float32 ONNX classifier of any operators, run by ONNX Runtime: for files that `from_onnx` cannot translate.

The file is cut at its stored tensors into steps, each a session that takes the tensors and the weights it reads as inputs. A
fault costs the steps behind it; ONNX Runtime's optimisations are off, so that every step computes the same whoever asks.
Slower than the engine of translated files (no dirty channels), with the same answers.
"""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from hwnas.deployed.memory import Change, Memory
from hwnas.deployed.protection import Share
from hwnas.device import load_profile, session
from hwnas.device.agent import ORT_ERRORS
from hwnas.device.model import parse
from hwnas.errors import ModelError
from hwnas.injection.bit_errors import Masks
from hwnas.injection.identity import file_sha256
from hwnas.injection.predictions import Predictions, classes_of, masked_rows
from hwnas.injection.qdq import HEAVY
from hwnas.injection.simulator import Upset
from hwnas.injection.target import FaultSimulator, Images
from hwnas.onnxfiles.image_input import BATCH, for_any_batch, image_of
from hwnas.onnxfiles.logits import cut_at_logits
from hwnas.resilience import FLOAT32, Population, Role, TensorBits

VIEWS = ("Flatten", "Reshape", "Squeeze", "Unsqueeze", "Identity", "Dropout")  # the same memory under another name
SHAPING = ("Resize", "Upsample", "Pad", "Clip", "Range", "ConstantOfShape", "Expand", "Tile")  # their constants are no weights
OTHER_FORMATS = ("float16", "bfloat16", "double", "int8", "uint8")
FUSED = (
    "BatchNormalization", "Clip", "Elu", "Gelu", "HardSigmoid", "HardSwish", "LeakyRelu", "Mish", "PRelu", "Relu", "Selu",
    "Sigmoid", "Softplus", "Softsign", "Swish", "Tanh",
)  # fmt: skip
"""What a device applies before it stores a sum that nothing else reads."""
Array = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One stored tensor: what computes it from earlier ones and from weights, and how many heavy operators that takes."""

    name: str
    session: onnxruntime.InferenceSession
    reads: tuple[str, ...]
    weights: tuple[str, ...]
    heavy: int

    def run(self, values: Mapping[str, Array], weights: Mapping[str, Array]) -> Array:
        """The stored tensor (n, ..)."""
        feeds = {name: values[name] for name in self.reads} | {name: weights[name] for name in self.weights}
        found: Array = self.session.run([self.name], feeds)[0]
        return found


class OnnxTarget:
    """A float32 network of any operators. Batch norms are folded first where ONNX Runtime folds them."""

    def __init__(self, model: bytes) -> None:
        """Raises ModelError for a file that is no float32 classifier of images, or that ONNX Runtime cannot run in parts."""
        proto = cut_at_logits(parse(model))
        _refuse_control_flow(proto.graph)
        self._proto = _folded(for_any_batch(proto))
        graph = self._proto.graph
        self._constants = {tensor.name: tensor for tensor in graph.initializer}
        self._producer = {output: node for node in graph.node for output in node.output}
        self.image, self.shape = image_of(graph, self._constants)
        self.logits = graph.output[0].name
        try:
            shapes = self._stored_shapes()
            self._weights = self._weight_names()
            self.steps = tuple(self._step(name, shapes) for name in shapes if name != self.image)
        except ORT_ERRORS as error:
            raise ModelError(
                f"ONNX Runtime cannot run the file for several images at once, or in parts: {str(error).splitlines()[0]}; export "
                "it with a dynamic batch"
            ) from error
        found = shapes.get(self.logits)
        if found is None or len(found) != 1:
            got = "no float32 numbers for each image" if found is None else f"({', '.join(map(str, ('n', *found)))})"
            raise ModelError(f"expected a classifier with one output, logits (n, classes), {self.logits!r} has {got}")
        self.classes = found[0]
        self.memory = self._memory()
        self.function_sha256 = file_sha256(self._proto, self.memory.arrays)
        self.names = (self.image, *(step.name for step in self.steps))
        self.activations = Population(
            tensors=tuple(
                TensorBits(name=name, layer=name, role=Role.ACTIVATION, size=int(np.prod(shapes[name])), format=FLOAT32)
                for name in self.names
            )
        )
        self.costs: Mapping[str, float] = {name: self._cost(name) for name in self.names}

    def engine(self, images: Images) -> FaultSimulator:
        """An engine that keeps the stored tensors of the clean pass."""
        return OnnxEngine(self, np.ascontiguousarray(images, np.float32))

    def expected_shares(self, images: Images, *, weights: bool) -> tuple[Share, ...]:
        """Nothing: ONNX Runtime gives no gradients."""
        return ()

    def _stored_shapes(self) -> dict[str, tuple[int, ...]]:
        """Stored tensors in order, the image first, with the shape of one image's."""
        names = [name for node in self._proto.graph.node for name in node.output if name]
        everything = onnx.ModelProto()
        everything.CopyFrom(self._proto)
        del everything.graph.output[:]
        everything.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
        opened = _session(everything)
        two, three = (opened.run(names, {self.image: np.zeros((images, *self.shape), np.float32)}) for images in (2, 3))
        readers: dict[str, list[str]] = {}
        for node in self._proto.graph.node:
            for name in node.input:
                readers.setdefault(name, []).append(node.op_type)
        shapes = {self.image: self.shape}
        for name, small, large in zip(names, two, three, strict=True):
            node, is_floats = self._producer[name], isinstance(small, np.ndarray) and small.dtype == np.float32
            if not is_floats or small.ndim == 0 or (len(small), len(large)) != (2, 3) or small.shape[1:] != large.shape[1:]:
                continue
            is_fused = len(readers.get(name, [])) == 1 and readers[name][0] in FUSED
            if name == self.logits or (node.op_type not in VIEWS and not is_fused and small.size):
                shapes[name] = small.shape[1:]
        return shapes

    def _weight_names(self) -> frozenset[str]:
        """The weights. Raises ModelError where some are in another format, which would be left out."""
        read = {
            name: TensorProto.DataType.Name(self._constants[name].data_type).lower()
            for node in self._proto.graph.node
            for name in node.input
            if node.op_type not in SHAPING and name in self._constants and len(self._constants[name].dims) > 0
        }
        others = sorted(name for name, kind in read.items() if kind in OTHER_FORMATS)
        if others:
            raise ModelError(f"expected float32 weights, {others[0]!r} are {read[others[0]]}; give the float32 file")
        return frozenset(name for name, kind in read.items() if kind == "float")

    def _step(self, target: str, shapes: Mapping[str, tuple[int, ...]]) -> Step:
        kept, waiting, read = set(), [target], dict[str, None]()
        while waiting:
            node = self._producer[waiting.pop()]
            if id(node) in kept:
                continue
            kept.add(id(node))
            for name in filter(None, node.input):
                if name in shapes or name in self._constants:
                    read[name] = None
                else:
                    waiting.append(name)
        # of several outputs any may be left out, the first too
        nodes = [node for node in self._proto.graph.node if any(id(self._producer[name]) in kept for name in node.output if name)]
        weights = tuple(name for name in read if name in self._weights)
        reads = tuple(name for name in read if name in shapes)
        inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [BATCH, *shapes[name]]) for name in reads]
        inputs += [helper.make_tensor_value_info(n, TensorProto.FLOAT, list(self._constants[n].dims)) for n in weights]
        constants = [self._constants[name] for name in read if name in self._constants and name not in self._weights]
        graph = helper.make_graph(nodes, "step", inputs, [onnx.ValueInfoProto(name=target)], constants)
        proto = helper.make_model(graph, opset_imports=self._proto.opset_import, ir_version=self._proto.ir_version)
        heavy = sum(node.op_type in HEAVY for node in nodes)
        return Step(name=target, session=_session(proto), reads=reads, weights=weights, heavy=heavy)

    def _memory(self) -> Memory:
        owner = {weight: step.name for step in reversed(self.steps) for weight in step.weights}
        arrays = {name: numpy_helper.to_array(self._constants[name]) for name in self._constants if name in owner}
        if not arrays:
            raise ModelError("expected a model with float32 weights, got none")
        roles = {name: Role.WEIGHT if array.ndim > 1 else Role.BIAS for name, array in arrays.items()}
        tensors = [
            TensorBits(name=name, layer=owner[name], role=roles[name], size=int(array.size), format=FLOAT32)
            for name, array in arrays.items()
        ]
        return Memory(tensors, arrays)

    def _cost(self, start: str) -> float:
        """Share of the heavy operators behind a stored tensor and in it, and a twentieth for what each fault costs."""
        reached, heavy = {start}, 0
        for step in self.steps:
            if step.name == start or reached & set(step.reads):
                reached.add(step.name)
                heavy += step.heavy
        return 0.05 + heavy / max(1, sum(step.heavy for step in self.steps))


class OnnxEngine:
    """Such a network before one micro-batch of images."""

    def __init__(self, bench: OnnxTarget, images: Images) -> None:
        self._bench = bench
        self._clean: dict[str, Array] = {bench.image: images}
        for step in bench.steps:
            self._clean[step.name] = step.run(self._clean, bench.memory.arrays)
        self.classes = classes_of(self._clean[bench.logits])

    def weights(self, changes: Sequence[Change]) -> Predictions:
        """The answers with these words in memory."""
        changed = {change.tensor: self._bench.memory.changed(change) for change in changes}
        return self._behind({}, changed)

    def stored(self, step: int) -> Array:
        """The words of a stored tensor in the clean pass, (n, elements)."""
        value = self._clean[self._bench.names[step]]
        return value.reshape(len(value), -1)

    def activations(self, step: int, upsets: Sequence[Upset]) -> Predictions:
        """The answers with these bits of one stored tensor flipped."""
        name = self._bench.names[step]
        flipped = self._clean[name].copy()
        words = flipped.view(np.uint32).reshape(len(flipped), -1)
        for upset in upsets:
            words[upset.image, upset.element] ^= np.uint32(upset.mask)
        return self._behind({name: flipped}, {})

    def disturbed(self, masks: Masks) -> Predictions:
        """The answers with bits flipped in many stored tensors, by a full pass."""
        values: dict[str, Array] = {}
        for number, (name, value) in enumerate(self._pass(values)):
            if number in masks:
                value = (value.view(np.uint32) ^ masks[number].reshape(value.shape)).view(np.float32)
            values[name] = value
        return self._answers(values[self._bench.logits])

    def _pass(self, values: Mapping[str, Array]) -> Iterator[tuple[str, Array]]:
        yield self._bench.image, self._clean[self._bench.image]
        for step in self._bench.steps:
            yield step.name, step.run(values, self._bench.memory.arrays)

    def _behind(self, values: dict[str, Array], changed: Mapping[str, Any]) -> Predictions:
        """The answers where ``values`` replace stored tensors and ``changed`` weights: what reads one of them is recomputed."""
        weights = {**self._bench.memory.arrays, **changed}
        for step in self._bench.steps:
            hit = any(name in values for name in step.reads) or any(name in changed for name in step.weights)
            if hit:
                value = step.run({**self._clean, **values}, weights)
                if not np.array_equal(value, self._clean[step.name]):
                    values[step.name] = value
        return self._answers(values.get(self._bench.logits, self._clean[self._bench.logits]))

    def _answers(self, logits: Array) -> Predictions:
        return Predictions(classes=classes_of(logits), masked=masked_rows(logits, self._clean[self._bench.logits]))


def _refuse_control_flow(graph: onnx.GraphProto) -> None:
    """Raise ModelError for branches and loops, which are not cut into steps."""
    inner = sorted({n.op_type for n in graph.node if any(a.HasField("g") or a.graphs for a in n.attribute)})
    if inner:
        raise ModelError(f"expected a classifier without control flow, got {', '.join(inner)}")


def _folded(proto: onnx.ModelProto) -> onnx.ModelProto:
    """The file as ONNX Runtime's basic level leaves it: constants and batch norms folded, standard operators only."""
    session(proto.SerializeToString(), load_profile("local-cpu"))  # its refusals have good messages
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.log_severity_level = 4
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "folded.onnx"
        options.optimized_model_filepath = str(path)
        onnxruntime.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
        return onnx.load(path)


def _session(proto: onnx.ModelProto) -> onnxruntime.InferenceSession:
    profile = load_profile("local-cpu")
    assert profile.runtime is not None
    plain = profile.model_copy(update={"runtime": profile.runtime.model_copy(update={"optimise": False})})
    return session(proto.SerializeToString(), plain)
