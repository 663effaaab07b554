"""Pooling over windows, over the whole map, and to a fixed size."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from hwnas.errors import GraphError
from hwnas.graph.ops.layout import Layout, Passes
from hwnas.graph.ops.op import Attribute, CostKind, OnnxForm, OnnxNode, Op, Shape, feature_map, positive
from hwnas.graph.ops.registry import register_op
from hwnas.graph.ops.window import Padding, Pads, Size, four, pair, shortest, shortest_size, steps


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool(Op):
    """What all poolings share: each channel on its own, never below zero where the input is not."""

    channelwise: ClassVar[bool] = True

    @property
    def cost_kind(self) -> CostKind:
        """Pooling."""
        return "pool"

    def layout(self, inputs: Sequence[Shape]) -> Layout:
        """The input's channels."""
        return Passes()

    def relevance(self, elements: Sequence[int]) -> tuple[float, ...]:
        """All to the one input."""
        return (1.0,)

    def non_negative(self, inputs: Sequence[bool]) -> bool:
        """Where the input is."""
        return inputs[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowPool(Pool):
    """What the two windowed poolings share: the window, its stride and padding, given as for a convolution.

    ``ceil_mode``: a last window that reaches over the edge counts.
    """

    kernel: Size = 2
    stride: Size = 2
    padding: Padding = 0
    ceil_mode: bool = False

    def __post_init__(self) -> None:
        for name in ("kernel", "stride"):
            object.__setattr__(self, name, shortest_size(getattr(self, name)))
            positive(self, **{name: min(pair(getattr(self, name)))})
        object.__setattr__(self, "padding", shortest(self.padding))
        limits = [size // 2 for size in self.window] * 2
        if any(not 0 <= pad <= limit for pad, limit in zip(self.pads, limits, strict=True)):
            raise GraphError(f"{self.kind}.padding must lie in [0, {min(limits)}], got {self.padding}")

    @property
    def window(self) -> tuple[int, int]:
        """The window's (height, width)."""
        return pair(self.kernel)

    @property
    def pads(self) -> Pads:
        """Padding at (top, left, bottom, right)."""
        return four(self.padding)

    def shape(self, inputs: Sequence[Shape]) -> Shape:
        """``(C, H', W')``; a window that would begin in the padding behind the image does not count."""
        channels, *sizes = feature_map(self, inputs[0])
        top, left, bottom, right = self.pads
        found = []
        for size, kernel, stride, before, after in zip(
            sizes, self.window, pair(self.stride), (top, left), (bottom, right), strict=True
        ):
            count = steps(self.kind, size, kernel, stride, before + after, ceil=self.ceil_mode)
            found.append(count - (self.ceil_mode and (count - 1) * stride >= size + before))
        return (channels, found[0], found[1])

    def _attributes(self) -> dict[str, Attribute]:
        ceil: dict[str, Attribute] = {"ceil_mode": 1} if self.ceil_mode else {}
        return {"kernel_shape": self.window, "pads": self.pads, "strides": pair(self.stride), **ceil}


@register_op
@dataclass(frozen=True, slots=True, kw_only=True)
class MaxPool(WindowPool):
    """The largest value of each window."""

    kind: ClassVar[str] = "max_pool"

    def onnx(self, inputs: Sequence[Shape]) -> OnnxForm:
        """MaxPool."""
        return OnnxForm.single("MaxPool", ("x0",), **self._attributes())


@register_op
@dataclass(frozen=True, slots=True, kw_only=True)
class AvgPool(WindowPool):
    """The mean of each window; padded zeros count unless ``count_include_pad`` is false, as in torch.nn.AvgPool2d."""

    kind: ClassVar[str] = "avg_pool"
    count_include_pad: bool = True

    def __post_init__(self) -> None:
        WindowPool.__post_init__(self)
        if self.ceil_mode and self.count_include_pad and any(self.pads):
            raise GraphError("avg_pool: torch and ONNX count padding under a last window differently; set ceil_mode to false")

    def onnx(self, inputs: Sequence[Shape]) -> OnnxForm:
        """AveragePool."""
        return OnnxForm.single("AveragePool", ("x0",), **self._attributes(), count_include_pad=int(self.count_include_pad))


@register_op
@dataclass(frozen=True, slots=True, kw_only=True)
class GlobalAvgPool(Pool):
    """The mean of each channel; the output is ``(C, 1, 1)``."""

    kind: ClassVar[str] = "global_avg_pool"

    def shape(self, inputs: Sequence[Shape]) -> Shape:
        """``(C, 1, 1)``."""
        return (feature_map(self, inputs[0])[0], 1, 1)

    def onnx(self, inputs: Sequence[Shape]) -> OnnxForm:
        """GlobalAveragePool."""
        return OnnxForm.single("GlobalAveragePool", ("x0",))


@register_op
@dataclass(frozen=True, slots=True, kw_only=True)
class GlobalMaxPool(Pool):
    """The largest value of each channel; the output is ``(C, 1, 1)``."""

    kind: ClassVar[str] = "global_max_pool"

    def shape(self, inputs: Sequence[Shape]) -> Shape:
        """``(C, 1, 1)``."""
        return (feature_map(self, inputs[0])[0], 1, 1)

    def onnx(self, inputs: Sequence[Shape]) -> OnnxForm:
        """GlobalMaxPool."""
        return OnnxForm.single("GlobalMaxPool", ("x0",))


@register_op
@dataclass(frozen=True, slots=True, kw_only=True)
class AdaptiveAvgPool(Pool):
    """Means over a grid of ``height`` x ``width`` windows that cover the map, as torch.nn.AdaptiveAvgPool2d.

    Row i of the output is the mean of the input's rows from floor(i H / height) to ceil((i + 1) H / height), columns alike.
    """

    kind: ClassVar[str] = "adaptive_avg_pool"
    height: int
    width: int

    def __post_init__(self) -> None:
        positive(self, height=self.height, width=self.width)

    def shape(self, inputs: Sequence[Shape]) -> Shape:
        """``(C, height, width)``."""
        return (feature_map(self, inputs[0])[0], self.height, self.width)

    def onnx(self, inputs: Sequence[Shape]) -> OnnxForm:
        """AveragePool where the windows are equal; else two matrix products with the windows' weights."""
        _, rows, columns = inputs[0]
        if rows % self.height == 0 and columns % self.width == 0:
            window = (rows // self.height, columns // self.width)
            return OnnxForm.single("AveragePool", ("x0",), kernel_shape=window, strides=window)
        return OnnxForm(
            nodes=(
                OnnxNode(op_type="MatMul", inputs=("over_rows", "x0"), output="rows"),
                OnnxNode(op_type="MatMul", inputs=("rows", "over_columns")),
            ),
            constants={
                "over_rows": _shares(rows, self.height),
                "over_columns": tuple(zip(*_shares(columns, self.width), strict=True)),
            },
        )


def _shares(size: int, count: int) -> tuple[tuple[float, ...], ...]:
    """What each of ``size`` pixels counts in each of ``count`` means."""
    spans = [(i * size // count, -(-(i + 1) * size // count)) for i in range(count)]
    return tuple(tuple(1.0 / (stop - start) if start <= p < stop else 0.0 for p in range(size)) for start, stop in spans)
