"""A graph as it is made of an ONNX file's operators, one after another: its nodes, their tensors, what each name stands for."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto

from hwnas.graph import Input, Node, Op, Scale, Shape
from hwnas.onnxfiles.constants import MAX_ELEMENTS, Constant, initialisers, integers
from hwnas.onnxfiles.image_input import image_of
from hwnas.onnxfiles.operator import Operator, readable

FLOATS = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE)
Floats: TypeAlias = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """What a name of the file stands for: ``factor`` times the output of a node, its channels last or, as in graphs, first."""

    node: int
    factor: float = 1.0
    channels_last: bool = False


class Translation:
    """What has been translated so far.

    ``tensors`` are those of the nodes, ``"<node>.<name>"``; ``sources`` says of each that the file holds which constant it is;
    ``implied`` are those that the file leaves out, ``repeated`` those that hold one number many times. ``scale`` and ``offset``,
    (C,), are still to be applied to the image.
    """

    def __init__(self, graph: onnx.GraphProto) -> None:
        self.constants = initialisers(graph)
        name, (channels, height, width) = image_of(graph, self.constants, FLOATS)
        image = Input(channels=channels, height=height, width=width)
        self.channels = channels
        self.nodes = {1: Node(1, image)}
        self.shapes: dict[int, Shape] = {1: image.shape([])}
        self.held = {readable(name): Value(node=1)}
        self.tensors: dict[str, Floats] = {}
        self.sources: dict[str, str] = {}
        self.implied: set[str] = set()
        self.repeated: set[str] = set()
        self.scale: Floats | None = None
        self.offset: Floats | None = None
        self.readers: dict[str, int] = {}
        for read in (readable(read) for node in graph.node for read in node.input):
            self.readers[read] = self.readers.get(read, 0) + 1

    def value(self, operator: Operator, place: int = 0) -> Value:
        """What an input stands for. Raises UnsupportedOperatorError for a constant, or an input that nothing gives."""
        name = operator.input(place)
        if name in self.held:
            return self.held[name]
        what = "is a constant" if name in self.constants else f"{name!r} is given by nothing" if name else "is left out"
        raise operator.refuse(f"its input {place} must be computed from the image, it {what}")

    def source(self, operator: Operator, place: int = 0) -> int:
        """The node that an input is the output of, as it stands. Raises UnsupportedOperatorError."""
        value = self.unscaled(operator, place)
        if value.channels_last:
            raise operator.refuse("it reads channels that come last; transpose them back before it")
        return value.node

    def unscaled(self, operator: Operator, place: int = 0) -> Value:
        """What an input stands for, channels first or last; a factor that is pending becomes a scale of all channels."""
        value = self.value(operator, place)
        return value if value.factor == 1.0 else self.scaled(operator, operator.input(place))

    def scaled(self, operator: Operator, name: str) -> Value:
        """What a name stands for, its factor applied; ``operator`` is the one that reads it."""
        value = self.held[name]
        if value.factor != 1.0:
            weight = Constant(array=np.full(self.shapes[value.node][0], value.factor, np.float32), repeated=True)
            number = self.put(operator, Scale(), value.node, tensors={"weight": weight}, output=name)
            self.held[name] = replace(value, node=number, factor=1.0)
        return self.held[name]

    def constant(self, operator: Operator, place: int) -> Constant | None:
        """A constant input, None where it is left out. Raises UnsupportedOperatorError for what is no constant."""
        name = operator.input(place)
        if not name:
            return None
        if name not in self.constants:
            raise operator.refuse(f"its input {place}, {name!r}, must be a constant")
        return self.constants[name]

    def floats(self, operator: Operator, place: int) -> Constant | None:
        """A constant input as float32 numbers."""
        constant = self.constant(operator, place)
        if constant is None:
            return None
        if constant.array.dtype.kind in "OSUc":
            raise operator.refuse(f"its input {place} must be real numbers, got {constant.array.dtype}")
        with np.errstate(over="ignore"):
            return replace(constant, array=np.asarray(constant.array, np.float32))

    def needed(self, operator: Operator, place: int) -> Constant:
        """A constant input of float32 numbers that must not be left out."""
        constant = self.floats(operator, place)
        if constant is None:
            raise operator.refuse(f"its input {place} must be a constant, and is left out")
        return constant

    def whole_numbers(self, operator: Operator, place: int) -> tuple[int, ...] | None:
        """A constant input of sizes, places or axes, None where it is left out."""
        constant = self.constant(operator, place)
        try:
            return None if constant is None else integers(constant.array)
        except ValueError as error:
            raise operator.refuse(f"its input {place}: {error}") from error

    def per_channel(self, value: Value, constant: Constant) -> Constant | None:
        """A constant as (C,) where it has one number for each channel of what it meets, or one for all; else None."""
        shape = self.shapes[value.node]
        column = (shape[0],) if value.channels_last or len(shape) == 1 else (shape[0], 1, 1)
        array = constant.array
        if array.size == 1:
            if shape[0] == 1:
                return replace(constant, array=array.reshape(1))
            return Constant(array=np.full(shape[0], array.reshape(())), repeated=True)
        while array.ndim > len(column) and array.shape[0] == 1:
            array = array[0]
        return replace(constant, array=array.reshape(-1)) if array.shape == column else None

    def put(
        self,
        operator: Operator,
        op: Op,
        *sources: int,
        tensors: Mapping[str, Constant | None] | None = None,
        output: str | None = None,
    ) -> int:
        """Add a node, which gives ``output`` (None: the operator's first) and owns ``tensors``.

        A tensor that is None is left out by the file: it is neutral. Raises GraphError where the operation does not fit,
        UnsupportedOperatorError for tensors of another shape.
        """
        number = max(self.nodes) + 1
        shapes = [self.shapes[source] for source in sources]
        self.shapes[number] = self._bounded(operator, op.shape(shapes))
        for name, shape in op.tensors(shapes).items():
            given, key = (tensors or {}).get(name), f"{number}.{name}"
            if given is None:
                self.implied.add(key)
                given = Constant(array=np.full(shape, op.initial(name) == "ones", np.float32))
            if given.array.shape != shape:
                raise operator.refuse(f"its {name} must have the shape {shape} here, got {given.array.shape}")
            self.tensors[key] = np.array(given.array, np.float32)
            if given.repeated:
                self.repeated.add(key)
            if given.origin is not None:
                self.sources[key] = given.origin
        self.nodes[number] = Node(number, op, sources)
        self.held[operator.output if output is None else output] = Value(node=number)
        return number

    def put_alike(self, operator: Operator, op: Op, *places: int, tensors: Mapping[str, Constant | None] | None = None) -> int:
        """Add a node that reads these inputs, and whose output has its channels where they have theirs."""
        values = [self.unscaled(operator, place) for place in places]
        if len({value.channels_last for value in values}) > 1:
            raise operator.refuse("the channels come last in one of its inputs, first in another")
        number = self.put(operator, op, *(value.node for value in values), tensors=tensors)
        self.held[operator.output] = replace(values[0], node=number)
        return number

    def change(self, number: int, op: Op, inputs: tuple[int, ...], tensors: Mapping[str, Floats]) -> None:
        """Give a node another operation and the tensors that come with it; what the file holds them in stays."""
        self.nodes[number] = Node(number, op, inputs)
        self.shapes[number] = op.shape([self.shapes[source] for source in inputs])
        self.tensors |= {f"{number}.{name}": array for name, array in tensors.items()}

    def _bounded(self, operator: Operator, shape: Shape) -> Shape:
        elements = 1
        for size in shape:
            elements *= size
        if elements > MAX_ELEMENTS:
            raise operator.refuse(f"its output {shape} has more than {MAX_ELEMENTS} numbers an image")
        return shape
