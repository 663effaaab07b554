"""The layers with multiply-accumulates: convolution and the fully connected layer."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from hwnas.errors import GraphError
from hwnas.graph.ops.layout import Layout, Makes, Passes, Pins
from hwnas.graph.ops.op import CostKind, Initial, OnnxForm, Op, Shape, feature_map, positive
from hwnas.graph.ops.registry import register_op
from hwnas.graph.ops.window import Padding, Pads, Size, four, pair, shortest, shortest_size, steps


@register_op
@dataclass(frozen=True, slots=True, kw_only=True)
class Conv(Op):
    """A 2-d convolution with zero padding; depthwise where ``groups`` equals both channel counts.

    ``kernel``, ``stride`` and ``dilation`` are one number for both axes or (height, width); ``padding`` is one number, (height,
    width) or (top, left, bottom, right).
    """

    kind: ClassVar[str] = "conv"
    absorbs_norm: ClassVar[bool] = True
    out_channels: int
    kernel: Size
    padding: Padding
    stride: Size = 1
    groups: int = 1
    bias: bool = False
    dilation: Size = 1

    def __post_init__(self) -> None:
        for name in ("kernel", "stride", "dilation"):
            object.__setattr__(self, name, shortest_size(getattr(self, name)))
            positive(self, **{name: min(pair(getattr(self, name)))})
        object.__setattr__(self, "padding", shortest(self.padding))
        positive(self, out_channels=self.out_channels, groups=self.groups)
        if min(self.pads) < 0:
            raise GraphError(f"conv.padding must not be negative, got {self.padding}")
        if self.out_channels % self.groups:
            raise GraphError(f"conv: {self.out_channels} filters do not divide into {self.groups} groups")

    @property
    def window(self) -> tuple[int, int]:
        """The kernel's (height, width)."""
        return pair(self.kernel)

    @property
    def pads(self) -> Pads:
        """Zeros added at (top, left, bottom, right)."""
        return four(self.padding)

    @property
    def is_square(self) -> bool:
        """Whether kernel, stride and padding are the same along both axes and nothing is dilated."""
        sizes = (self.kernel, self.padding, self.stride)
        return all(isinstance(size, int) for size in sizes) and self.dilation == 1

    @property
    def cost_kind(self) -> CostKind:
        """Dense without groups; else it is computed like a depthwise one."""
        return "dense" if self.groups == 1 else "depthwise"

    def shape(self, inputs: Sequence[Shape]) -> Shape:
        """``(out_channels, H', W')``."""
        channels, *sizes = feature_map(self, inputs[0])
        if channels % self.groups:
            raise GraphError(f"conv: {channels} input channels do not divide into {self.groups} groups")
        top, left, bottom, right = self.pads
        strides, dilations = pair(self.stride), pair(self.dilation)
        rows, columns = (
            steps(self.kind, size, kernel, stride, padding, dilation)
            for size, kernel, stride, padding, dilation in zip(
                sizes, self.window, strides, (top + bottom, left + right), dilations, strict=True
            )
        )
        return (self.out_channels, rows, columns)

    def layout(self, inputs: Sequence[Shape]) -> Layout:
        """Dense: new channels; depthwise: the input's; in groups: a fixed number."""
        own = ("weight", "bias") if self.bias else ("weight",)
        if self.groups == 1:
            return Makes(filters=own, reads=("weight",))
        return Passes(tensors=own) if self.groups == inputs[0][0] == self.out_channels else Pins()

    def relevance(self, elements: Sequence[int]) -> tuple[float, ...]:
        """All to the one input."""
        return (1.0,)

    def parameters(self, inputs: Sequence[Shape]) -> dict[str, Shape]:
        """``weight`` (out, in / groups, kh, kw) and, where asked for, ``bias`` (out,)."""
        weight = (self.out_channels, inputs[0][0] // self.groups, *self.window)
        return {"weight": weight, "bias": (self.out_channels,)} if self.bias else {"weight": weight}

    def initial(self, name: str) -> Initial:
        """Filters are fresh, the bias is zero."""
        return "fresh" if name == "weight" else "zeros"

    def macs(self, inputs: Sequence[Shape], output: Shape) -> int:
        """Output elements times the inputs each of them reads."""
        return math.prod(output) * (inputs[0][0] // self.groups) * math.prod(self.window)

    def resized(self, change: int) -> "Conv":
        """Other filters; a depthwise one has as many groups."""
        groups = self.groups if self.groups == 1 else self.groups + change
        return replace(self, out_channels=self.out_channels + change, groups=groups)

    def onnx(self, inputs: Sequence[Shape]) -> OnnxForm:
        """Conv."""
        return OnnxForm.single(
            "Conv",
            ("x0", "weight", "bias") if self.bias else ("x0", "weight"),
            dilations=pair(self.dilation),
            group=self.groups,
            kernel_shape=self.window,
            pads=self.pads,
            strides=pair(self.stride),
        )


@register_op
@dataclass(frozen=True, slots=True, kw_only=True)
class Linear(Op):
    """A fully connected layer."""

    kind: ClassVar[str] = "linear"
    out_features: int
    bias: bool = True

    def __post_init__(self) -> None:
        positive(self, out_features=self.out_features)

    @property
    def cost_kind(self) -> CostKind:
        """A matrix product."""
        return "linear"

    def shape(self, inputs: Sequence[Shape]) -> Shape:
        """``(out_features,)``."""
        if len(inputs[0]) != 1:
            raise GraphError(f"linear needs a vector (F,), got a tensor of shape {inputs[0]}; put a flatten before it")
        return (self.out_features,)

    def layout(self, inputs: Sequence[Shape]) -> Layout:
        """New features."""
        return Makes(filters=("weight", "bias") if self.bias else ("weight",), reads=("weight",))

    def relevance(self, elements: Sequence[int]) -> tuple[float, ...]:
        """All to the one input."""
        return (1.0,)

    def parameters(self, inputs: Sequence[Shape]) -> dict[str, Shape]:
        """``weight`` (out, in) and, unless without, ``bias`` (out,)."""
        weight = (self.out_features, inputs[0][0])
        return {"weight": weight, "bias": (self.out_features,)} if self.bias else {"weight": weight}

    def initial(self, name: str) -> Initial:
        """The matrix is fresh, the bias is zero."""
        return "fresh" if name == "weight" else "zeros"

    def macs(self, inputs: Sequence[Shape], output: Shape) -> int:
        """in * out."""
        return inputs[0][0] * self.out_features

    def resized(self, change: int) -> "Linear":
        """Another number of features."""
        return replace(self, out_features=self.out_features + change)

    def onnx(self, inputs: Sequence[Shape]) -> OnnxForm:
        """Gemm with the weight transposed."""
        return OnnxForm.single("Gemm", ("x0", "weight", "bias") if self.bias else ("x0", "weight"), transB=1)
