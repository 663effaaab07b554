"""The closed set of operations a network is made of.

Each operation is one frozen dataclass that holds all there is to know of it: its parameters, how many inputs it takes, the
shape rule, the tensors it owns, its multiply-accumulates and its ONNX form. Shapes are ``(C, H, W)`` for feature maps and
``(F,)`` for vectors; the batch axis is never part of a shape.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, TypeAlias

from hwnas.errors import GraphError

Shape: TypeAlias = tuple[int, ...]
Attribute: TypeAlias = int | float | tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class OnnxForm:
    """An operation as ONNX spells it: ``op_type`` and its attributes; weights follow the inputs in the order they are owned."""

    op_type: str
    attributes: Mapping[str, Attribute]


@dataclass(frozen=True, slots=True)
class Op(ABC):
    """What a node computes. Final subclasses below are the whole vocabulary."""

    kind: ClassVar[str]
    arity: ClassVar[tuple[int, int | None]] = (1, 1)
    ordered: ClassVar[bool] = True

    @abstractmethod
    def shape(self, inputs: Sequence[Shape]) -> Shape:
        """The output's shape for inputs of these shapes. Raises GraphError where they do not fit."""

    def parameters(self, inputs: Sequence[Shape]) -> dict[str, Shape]:
        """Names and shapes of the learnable tensors."""
        return {}

    def buffers(self, inputs: Sequence[Shape]) -> dict[str, Shape]:
        """Names and shapes of the tensors that are kept but not learnt by gradient."""
        return {}

    def macs(self, inputs: Sequence[Shape], output: Shape) -> int:
        """Multiply-accumulates for one image; convolutions and linear layers only, as fvcore counts their entries."""
        return 0

    @abstractmethod
    def onnx(self) -> OnnxForm:
        """The ONNX operator that computes this."""


def _feature_map(op: Op, shape: Shape) -> tuple[int, int, int]:
    if len(shape) != 3:
        raise GraphError(f"{op.kind} needs a feature map (C, H, W), got a tensor of shape {shape}")
    return shape[0], shape[1], shape[2]


def _positive(op: Op, **values: int) -> None:
    for name, value in values.items():
        if value < 1:
            raise GraphError(f"{op.kind}.{name} must be at least 1, got {value}")


def _window(op: Op, size: int, kernel: int, stride: int, padding: int) -> int:
    out = (size + 2 * padding - kernel) // stride + 1
    if out < 1:
        raise GraphError(f"{op.kind}: a window of {kernel} (padding {padding}) does not fit into {size} pixels")
    return out


@dataclass(frozen=True, slots=True, kw_only=True)
class Input(Op):
    """The image: float32 in [0, 1], normalised by the network's stem; takes no inputs."""

    kind: ClassVar[str] = "input"
    arity: ClassVar[tuple[int, int | None]] = (0, 0)
    channels: int
    height: int
    width: int

    def __post_init__(self) -> None:
        _positive(self, channels=self.channels, height=self.height, width=self.width)

    def shape(self, inputs: Sequence[Shape]) -> Shape:
        """``(C, H, W)`` of the image."""
        return (self.channels, self.height, self.width)

    def onnx(self) -> OnnxForm:
        """Nothing is computed."""
        return OnnxForm(op_type="Identity", attributes={})


@dataclass(frozen=True, slots=True, kw_only=True)
class Conv(Op):
    """A square 2-d convolution with zero padding; depthwise where ``groups`` equals both channel counts."""

    kind: ClassVar[str] = "conv"
    out_channels: int
    kernel: int
    padding: int
    stride: int = 1
    groups: int = 1
    bias: bool = False

    def __post_init__(self) -> None:
        _positive(self, out_channels=self.out_channels, kernel=self.kernel, stride=self.stride, groups=self.groups)
        if self.padding < 0:
            raise GraphError(f"conv.padding must not be negative, got {self.padding}")
        if self.out_channels % self.groups:
            raise GraphError(f"conv: {self.out_channels} filters do not divide into {self.groups} groups")

    def shape(self, inputs: Sequence[Shape]) -> Shape:
        """``(out_channels, H', W')``."""
        channels, height, width = _feature_map(self, inputs[0])
        if channels % self.groups:
            raise GraphError(f"conv: {channels} input channels do not divide into {self.groups} groups")
        rows = _window(self, height, self.kernel, self.stride, self.padding)
        columns = _window(self, width, self.kernel, self.stride, self.padding)
        return (self.out_channels, rows, columns)

    def parameters(self, inputs: Sequence[Shape]) -> dict[str, Shape]:
        """``weight`` (out, in / groups, k, k) and, where asked for, ``bias`` (out,)."""
        weight = (self.out_channels, inputs[0][0] // self.groups, self.kernel, self.kernel)
        return {"weight": weight, "bias": (self.out_channels,)} if self.bias else {"weight": weight}

    def macs(self, inputs: Sequence[Shape], output: Shape) -> int:
        """Output elements times the inputs each of them reads."""
        return math.prod(output) * (inputs[0][0] // self.groups) * self.kernel**2

    def onnx(self) -> OnnxForm:
        """Conv."""
        return OnnxForm(
            op_type="Conv",
            attributes={
                "dilations": (1, 1),
                "group": self.groups,
                "kernel_shape": (self.kernel, self.kernel),
                "pads": (self.padding,) * 4,
                "strides": (self.stride, self.stride),
            },
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchNorm(Op):
    """Batch normalisation over the channels, as torch.nn.BatchNorm2d with its default ``eps`` and momentum."""

    kind: ClassVar[str] = "batch_norm"
    EPS: ClassVar[float] = 1e-5

    def shape(self, inputs: Sequence[Shape]) -> Shape:
        """The input's."""
        return _feature_map(self, inputs[0])

    def parameters(self, inputs: Sequence[Shape]) -> dict[str, Shape]:
        """``weight`` (scale) and ``bias`` (offset), one for each channel."""
        return {"weight": (inputs[0][0],), "bias": (inputs[0][0],)}

    def buffers(self, inputs: Sequence[Shape]) -> dict[str, Shape]:
        """``running_mean`` and ``running_var``, one for each channel."""
        return {"running_mean": (inputs[0][0],), "running_var": (inputs[0][0],)}

    def onnx(self) -> OnnxForm:
        """BatchNormalization; the emitter folds it into the convolution before it wherever it can."""
        return OnnxForm(op_type="BatchNormalization", attributes={"epsilon": self.EPS})


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip(Op):
    """Values limited to [low, high]; ReLU is Clip(low=0), ReLU6 is Clip(low=0, high=6)."""

    kind: ClassVar[str] = "clip"
    low: float = 0.0
    high: float = math.inf

    def __post_init__(self) -> None:
        if not self.low < self.high:
            raise GraphError(f"clip needs low < high, got low={self.low}, high={self.high}")

    def shape(self, inputs: Sequence[Shape]) -> Shape:
        """The input's."""
        return inputs[0]

    @property
    def is_relu(self) -> bool:
        """Whether this is a plain ReLU."""
        return self.low == 0.0 and self.high == math.inf

    def onnx(self) -> OnnxForm:
        """Relu where it is one, else Clip (its bounds become inputs)."""
        return OnnxForm(op_type="Relu" if self.is_relu else "Clip", attributes={})


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool(Op):
    """What the two windowed poolings share: a square window, its stride and zero padding."""

    kernel: int = 2
    stride: int = 2
    padding: int = 0

    def __post_init__(self) -> None:
        _positive(self, kernel=self.kernel, stride=self.stride)
        if not 0 <= self.padding <= self.kernel // 2:
            raise GraphError(f"{self.kind}.padding must lie in [0, {self.kernel // 2}], got {self.padding}")

    def shape(self, inputs: Sequence[Shape]) -> Shape:
        """``(C, H', W')``."""
        channels, height, width = _feature_map(self, inputs[0])
        rows = _window(self, height, self.kernel, self.stride, self.padding)
        return (channels, rows, _window(self, width, self.kernel, self.stride, self.padding))

    def _window_attributes(self) -> dict[str, Attribute]:
        return {
            "kernel_shape": (self.kernel, self.kernel),
            "pads": (self.padding,) * 4,
            "strides": (self.stride, self.stride),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class MaxPool(Pool):
    """The largest value of each window."""

    kind: ClassVar[str] = "max_pool"

    def onnx(self) -> OnnxForm:
        """MaxPool."""
        return OnnxForm(op_type="MaxPool", attributes=self._window_attributes())


@dataclass(frozen=True, slots=True, kw_only=True)
class AvgPool(Pool):
    """The mean of each window; padded zeros count, as in torch.nn.AvgPool2d."""

    kind: ClassVar[str] = "avg_pool"

    def onnx(self) -> OnnxForm:
        """AveragePool with the padding counted."""
        return OnnxForm(op_type="AveragePool", attributes=self._window_attributes() | {"count_include_pad": 1})


@dataclass(frozen=True, slots=True, kw_only=True)
class GlobalAvgPool(Op):
    """The mean of each channel; the output is ``(C, 1, 1)``."""

    kind: ClassVar[str] = "global_avg_pool"

    def shape(self, inputs: Sequence[Shape]) -> Shape:
        """``(C, 1, 1)``."""
        return (_feature_map(self, inputs[0])[0], 1, 1)

    def onnx(self) -> OnnxForm:
        """GlobalAveragePool."""
        return OnnxForm(op_type="GlobalAveragePool", attributes={})


@dataclass(frozen=True, slots=True, kw_only=True)
class Flatten(Op):
    """A feature map as a vector, channel by channel; a view, not a stored tensor."""

    kind: ClassVar[str] = "flatten"

    def shape(self, inputs: Sequence[Shape]) -> Shape:
        """``(C * H * W,)``."""
        return (math.prod(inputs[0]),)

    def onnx(self) -> OnnxForm:
        """Flatten from axis 1."""
        return OnnxForm(op_type="Flatten", attributes={"axis": 1})


@dataclass(frozen=True, slots=True, kw_only=True)
class Linear(Op):
    """A fully connected layer with bias."""

    kind: ClassVar[str] = "linear"
    out_features: int

    def __post_init__(self) -> None:
        _positive(self, out_features=self.out_features)

    def shape(self, inputs: Sequence[Shape]) -> Shape:
        """``(out_features,)``."""
        if len(inputs[0]) != 1:
            raise GraphError(f"linear needs a vector (F,), got a tensor of shape {inputs[0]}; put a flatten before it")
        return (self.out_features,)

    def parameters(self, inputs: Sequence[Shape]) -> dict[str, Shape]:
        """``weight`` (out, in) and ``bias`` (out,)."""
        return {"weight": (self.out_features, inputs[0][0]), "bias": (self.out_features,)}

    def macs(self, inputs: Sequence[Shape], output: Shape) -> int:
        """in * out."""
        return inputs[0][0] * self.out_features

    def onnx(self) -> OnnxForm:
        """Gemm with the weight transposed."""
        return OnnxForm(op_type="Gemm", attributes={"transB": 1})


def _same_shape(op: Op, inputs: Sequence[Shape]) -> Shape:
    if len(set(inputs)) != 1:
        raise GraphError(f"{op.kind} needs inputs of one shape, got {', '.join(map(str, inputs))}")
    return inputs[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Add(Op):
    """The sum of two or more tensors of one shape; their order does not matter."""

    kind: ClassVar[str] = "add"
    arity: ClassVar[tuple[int, int | None]] = (2, None)
    ordered: ClassVar[bool] = False

    def shape(self, inputs: Sequence[Shape]) -> Shape:
        """The inputs'."""
        return _same_shape(self, inputs)

    def onnx(self) -> OnnxForm:
        """Add (the emitter chains more than two)."""
        return OnnxForm(op_type="Add", attributes={})


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightedAdd(Op):
    """``(1 - mix) x + mix y`` with a learnable scalar ``mix``: a network morphism of type IV where mix = 0 [Elsken2017]."""

    kind: ClassVar[str] = "weighted_add"
    arity: ClassVar[tuple[int, int | None]] = (2, 2)

    def shape(self, inputs: Sequence[Shape]) -> Shape:
        """The inputs'."""
        return _same_shape(self, inputs)

    def parameters(self, inputs: Sequence[Shape]) -> dict[str, Shape]:
        """``mix``, a scalar."""
        return {"mix": ()}

    def onnx(self) -> OnnxForm:
        """Add of the two scaled inputs."""
        return OnnxForm(op_type="Add", attributes={})


@dataclass(frozen=True, slots=True, kw_only=True)
class Concat(Op):
    """Feature maps of equal height and width, one after the other along the channels."""

    kind: ClassVar[str] = "concat"
    arity: ClassVar[tuple[int, int | None]] = (2, None)

    def shape(self, inputs: Sequence[Shape]) -> Shape:
        """``(sum of C, H, W)``."""
        maps = [_feature_map(self, shape) for shape in inputs]
        if len({shape[1:] for shape in maps}) != 1:
            raise GraphError(f"concat needs inputs of one height and width, got {', '.join(map(str, inputs))}")
        return (sum(shape[0] for shape in maps), *maps[0][1:])

    def onnx(self) -> OnnxForm:
        """Concat along the channels."""
        return OnnxForm(op_type="Concat", attributes={"axis": 1})


OPS: Mapping[str, type[Op]] = {
    op.kind: op
    for op in (
        Input, Conv, BatchNorm, Clip, MaxPool, AvgPool, GlobalAvgPool, Flatten, Linear, Add, WeightedAdd, Concat,
    )
}  # fmt: skip
