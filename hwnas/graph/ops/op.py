"""What every operation answers for itself.

Each operation is one frozen dataclass that holds all there is to know of it: its parameters, how many inputs it takes, the
shape rule, the tensors it owns and how they begin, its multiply-accumulates, how channels and relevance pass through it, and its
ONNX form. Shapes are ``(C, H, W)`` for feature maps and ``(F,)`` for vectors; the batch axis is never part of a shape.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import ClassVar, Literal, TypeAlias

from hwnas.errors import GraphError
from hwnas.graph.ops.layout import Layout

Shape: TypeAlias = tuple[int, ...]
Attribute: TypeAlias = int | float | str | tuple[int, ...]
Initial: TypeAlias = Literal["zeros", "ones", "fresh"]
CostKind: TypeAlias = Literal["dense", "depthwise", "linear", "pool", "join"]
OUTPUT = "output"


@dataclass(frozen=True, slots=True, kw_only=True)
class OnnxNode:
    """One ONNX node of an operation's form.

    ``inputs`` name what it reads: ``x0``, ``x1``, .. are the operation's inputs, then come its own tensors and the form's
    constants by their names, and outputs of earlier nodes; an empty name leaves an optional input out.
    """

    op_type: str
    inputs: tuple[str, ...]
    attributes: Mapping[str, Attribute] = field(default_factory=lambda: MappingProxyType({}))
    output: str = OUTPUT


@dataclass(frozen=True, slots=True, kw_only=True)
class OnnxForm:
    """An operation as ONNX spells it, opset 17: nodes in order, the last of which gives ``OUTPUT``.

    ``constants`` are numbers or nested tuples of them; whole numbers become int64 tensors, others float32.
    """

    nodes: tuple[OnnxNode, ...]
    constants: Mapping[str, object] = field(default_factory=lambda: MappingProxyType({}))

    @classmethod
    def single(cls, op_type: str, inputs: Sequence[str], **attributes: Attribute) -> "OnnxForm":
        """The form of an operation that is one ONNX node without constants."""
        return cls(nodes=(OnnxNode(op_type=op_type, inputs=tuple(inputs), attributes=attributes),))


@dataclass(frozen=True, slots=True)
class Op(ABC):
    """What a node computes.

    ``layout`` and ``relevance`` have no default: an operation that does not say how channels and relevance pass through it
    cannot be made. Class variables:

    - ``kind``: its name in stored graphs, never changed once a graph was stored with it.
    - ``arity``: the least and the largest number of inputs (None: any number).
    - ``ordered``: whether the order of its inputs matters.
    - ``is_view``: whether its output is its input's memory under another shape.
    - ``fuses``: what runtimes fuse it as: a ``norm`` behind an operation that ``absorbs_norm``, an ``activation`` behind any
      computation; None: it writes a tensor of its own.
    - ``scales_through``: of an activation f, whether f(a x) = a f(x) for every a >= 0.
    - ``channelwise``: whether each channel of the output is computed from the same channel of the inputs alone.
    """

    kind: ClassVar[str]
    arity: ClassVar[tuple[int, int | None]] = (1, 1)
    ordered: ClassVar[bool] = True
    is_view: ClassVar[bool] = False
    fuses: ClassVar[Literal["norm", "activation"] | None] = None
    absorbs_norm: ClassVar[bool] = False
    scales_through: ClassVar[bool] = False
    channelwise: ClassVar[bool] = False

    @abstractmethod
    def shape(self, inputs: Sequence[Shape]) -> Shape:
        """The output's shape for inputs of these shapes. Raises GraphError where they do not fit."""

    @abstractmethod
    def layout(self, inputs: Sequence[Shape]) -> Layout:
        """How the channels of the output follow from those of the inputs; see ``hwnas.graph.ops.layout``."""

    @abstractmethod
    def relevance(self, elements: Sequence[int]) -> tuple[float, ...]:
        """The shares, at least 0 and adding up to 1, of the output's relevance that go to each input.

        ``elements`` are the inputs' numbers of elements. No inputs: no shares.
        """

    @abstractmethod
    def onnx(self, inputs: Sequence[Shape]) -> OnnxForm:
        """The ONNX nodes that compute this for inputs of these shapes."""

    def parameters(self, inputs: Sequence[Shape]) -> dict[str, Shape]:
        """Names and shapes of the learnable tensors."""
        return {}

    def buffers(self, inputs: Sequence[Shape]) -> dict[str, Shape]:
        """Names and shapes of the tensors that are kept but not learnt by gradient."""
        return {}

    def tensors(self, inputs: Sequence[Shape]) -> dict[str, Shape]:
        """Names and shapes of all tensors that it owns, learnable ones first; the order in which it is given them."""
        return self.parameters(inputs) | self.buffers(inputs)

    def initial(self, name: str) -> Initial:
        """How a new tensor of this name begins: all zeros, all ones, or fresh (He initialisation [He2015], fan-in).

        Raises GraphError where the operation owns tensors and does not say.
        """
        raise GraphError(f"{self.kind} does not say how its tensor {name!r} begins; give its class the method `initial`")

    def macs(self, inputs: Sequence[Shape], output: Shape) -> int:
        """Multiply-accumulates for one image; convolutions and linear layers only, as fvcore counts their entries."""
        return 0

    def non_negative(self, inputs: Sequence[bool]) -> bool:
        """Whether the output is never below zero whatever the weights, given for which inputs that is known."""
        return False

    def resized(self, change: int) -> "Op":
        """The same operation once ``change`` channels (which may be negative) were added to those that its tensors count."""
        return self

    @property
    def known_as(self) -> str | None:
        """The name by which readers know it with just these fields, such as ``relu`` for a clip from 0; None: kind and fields."""
        return None

    @property
    def cost_kind(self) -> CostKind:
        """The kind of computation that a latency predictor counts it as; element-wise operations and copies are ``join``."""
        return "join"


def feature_map(op: Op, shape: Shape) -> tuple[int, int, int]:
    """The shape as (C, H, W). Raises GraphError for a vector."""
    if len(shape) != 3:
        raise GraphError(f"{op.kind} needs a feature map (C, H, W), got a tensor of shape {shape}")
    return shape[0], shape[1], shape[2]


def positive(op: Op, **values: int) -> None:
    """Raise GraphError where one of the values is below 1, naming it."""
    for name, value in values.items():
        if value < 1:
            raise GraphError(f"{op.kind}.{name} must be at least 1, got {value}")


def same_shape(op: Op, inputs: Sequence[Shape]) -> Shape:
    """The one shape that all inputs have. Raises GraphError where they differ."""
    if len(set(inputs)) != 1:
        raise GraphError(f"{op.kind} needs inputs of one shape, got {', '.join(map(str, inputs))}")
    return inputs[0]
