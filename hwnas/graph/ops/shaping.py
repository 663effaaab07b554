"""The image itself, and operations that move values without computing: flatten, slice, pad, enlarge."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar

from hwnas.errors import GraphError
from hwnas.graph.ops.layout import Layout, Passes, Pins, Spreads
from hwnas.graph.ops.op import OnnxForm, OnnxNode, Op, Shape, feature_map, positive
from hwnas.graph.ops.registry import register_op
from hwnas.graph.ops.window import Padding, Pads, Size, four, pair, shortest, shortest_size

MOST_REPEATED = 64  # pixels of the map between the two steps of a resizing, for each pixel of the larger one of both


@register_op
@dataclass(frozen=True, slots=True, kw_only=True)
class Input(Op):
    """The image: float32 in [0, 1], normalised by the network's stem; takes no inputs."""

    kind: ClassVar[str] = "input"
    arity: ClassVar[tuple[int, int | None]] = (0, 0)
    channels: int
    height: int
    width: int

    def __post_init__(self) -> None:
        positive(self, channels=self.channels, height=self.height, width=self.width)

    def shape(self, inputs: Sequence[Shape]) -> Shape:
        """``(C, H, W)`` of the image."""
        return (self.channels, self.height, self.width)

    def layout(self, inputs: Sequence[Shape]) -> Layout:
        """The image's channels are given."""
        return Pins()

    def relevance(self, elements: Sequence[int]) -> tuple[float, ...]:
        """Nothing lies before the image."""
        return ()

    def onnx(self, inputs: Sequence[Shape]) -> OnnxForm:
        """Nothing is computed."""
        return OnnxForm.single("Identity", ("x0",))


@dataclass(frozen=True, slots=True, kw_only=True)
class Moves(Op):
    """What the operations that only move values share."""

    def relevance(self, elements: Sequence[int]) -> tuple[float, ...]:
        """All to the one input."""
        return (1.0,)

    def non_negative(self, inputs: Sequence[bool]) -> bool:
        """Where the input is."""
        return inputs[0]


@register_op
@dataclass(frozen=True, slots=True, kw_only=True)
class Flatten(Moves):
    """A feature map as a vector, channel by channel; a view, not a stored tensor."""

    kind: ClassVar[str] = "flatten"
    is_view: ClassVar[bool] = True

    def shape(self, inputs: Sequence[Shape]) -> Shape:
        """``(C * H * W,)``."""
        return (math.prod(inputs[0]),)

    def layout(self, inputs: Sequence[Shape]) -> Layout:
        """Each channel becomes H * W elements."""
        return Spreads()

    def onnx(self, inputs: Sequence[Shape]) -> OnnxForm:
        """Flatten from axis 1."""
        return OnnxForm.single("Flatten", ("x0",), axis=1)


@register_op
@dataclass(frozen=True, slots=True, kw_only=True)
class Slice(Moves):
    """A part of a feature map: channels [start, stop), and every ``step``-th row and column from the first one on.

    ``stop`` None: up to the last channel. A split into parts is one slice for each of them. ``step`` is one number for both axes
    or (height, width).
    """

    kind: ClassVar[str] = "slice"
    start: int = 0
    stop: int | None = None
    step: Size = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "step", shortest_size(self.step))
        positive(self, step=min(pair(self.step)))
        if self.start < 0 or (self.stop is not None and self.stop <= self.start):
            raise GraphError(f"slice needs 0 <= start < stop, got start={self.start}, stop={self.stop}")

    def shape(self, inputs: Sequence[Shape]) -> Shape:
        """``(stop - start, H / step, W / step)``, rounded up."""
        channels, height, width = feature_map(self, inputs[0])
        stop = channels if self.stop is None else self.stop
        if not self.start < stop <= channels:
            raise GraphError(f"slice of channels [{self.start}, {self.stop}) from a feature map of {channels}")
        rows, columns = pair(self.step)
        return (stop - self.start, -(-height // rows), -(-width // columns))

    def layout(self, inputs: Sequence[Shape]) -> Layout:
        """The input's channels where all of them are taken; else their number is fixed."""
        return Passes() if self.shape(inputs)[0] == inputs[0][0] else Pins()

    def onnx(self, inputs: Sequence[Shape]) -> OnnxForm:
        """Slice along the channels and with steps along height and width."""
        channels, height, width = inputs[0]
        stop = channels if self.stop is None else self.stop
        return OnnxForm(
            nodes=(OnnxNode(op_type="Slice", inputs=("x0", "starts", "stops", "axes", "steps")),),
            constants={
                "starts": (self.start, 0, 0),
                "stops": (stop, height, width),
                "axes": (1, 2, 3),
                "steps": (1, *pair(self.step)),
            },
        )


@register_op
@dataclass(frozen=True, slots=True, kw_only=True)
class Pad(Moves):
    """A constant ``value`` around a feature map.

    ``padding`` pixels, given as for a convolution, and ``channels`` (before, after).
    """

    kind: ClassVar[str] = "pad"
    padding: Padding = 0
    channels: tuple[int, int] = (0, 0)
    value: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "padding", shortest(self.padding))
        if min(*self.pads, *self.channels) < 0 or not math.isfinite(self.value):
            raise GraphError(
                f"pad needs sizes of at least 0 and a finite value, got padding={self.padding}, channels={self.channels}, "
                f"value={self.value}"
            )

    @property
    def pads(self) -> Pads:
        """Pixels added at (top, left, bottom, right)."""
        return four(self.padding)

    def shape(self, inputs: Sequence[Shape]) -> Shape:
        """``(C', H', W')``."""
        channels, height, width = feature_map(self, inputs[0])
        top, left, bottom, right = self.pads
        return (channels + sum(self.channels), height + top + bottom, width + left + right)

    def layout(self, inputs: Sequence[Shape]) -> Layout:
        """The input's channels where none are added; else their number is fixed."""
        return Pins() if any(self.channels) else Passes()

    def non_negative(self, inputs: Sequence[bool]) -> bool:
        """Where the input and the value are."""
        return inputs[0] and self.value >= 0

    def onnx(self, inputs: Sequence[Shape]) -> OnnxForm:
        """Pad with a constant."""
        top, left, bottom, right = self.pads
        before, after = self.channels
        return OnnxForm(
            nodes=(OnnxNode(op_type="Pad", inputs=("x0", "pads", "value")),),
            constants={"pads": (0, before, top, left, 0, after, bottom, right), "value": float(self.value)},
        )


@register_op
@dataclass(frozen=True, slots=True, kw_only=True)
class Upsample(Moves):
    """Each pixel repeated ``factor`` times along height and width: nearest-neighbour up-sampling by a whole factor."""

    kind: ClassVar[str] = "upsample"
    channelwise: ClassVar[bool] = True
    factor: Size = 2

    def __post_init__(self) -> None:
        object.__setattr__(self, "factor", shortest_size(self.factor))
        positive(self, factor=min(pair(self.factor)))

    def shape(self, inputs: Sequence[Shape]) -> Shape:
        """``(C, factor * H, factor * W)``."""
        channels, height, width = feature_map(self, inputs[0])
        rows, columns = pair(self.factor)
        return (channels, height * rows, width * columns)

    def layout(self, inputs: Sequence[Shape]) -> Layout:
        """The input's channels."""
        return Passes()

    def onnx(self, inputs: Sequence[Shape]) -> OnnxForm:
        """Resize by whole factors, nearest."""
        rows, columns = pair(self.factor)
        return OnnxForm(
            nodes=(
                OnnxNode(
                    op_type="Resize",
                    inputs=("x0", "", "scales"),
                    attributes={"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"},
                ),
            ),
            constants={"scales": (1.0, 1.0, float(rows), float(columns))},
        )


def nearest(shape: Shape, size: tuple[int, int]) -> tuple[Op, ...]:
    """The operations, at most two, that resize a feature map to ``size``, pixel i from pixel floor(i * old / new).

    To a size by n / m, each pixel is repeated n times and then every m-th taken. Raises GraphError where the map between them
    would have more than MOST_REPEATED times the pixels of both.
    """
    ratios = [Fraction(new, old) for new, old in zip(size, shape[1:], strict=True)]
    repeated = math.prod(old * ratio.numerator for old, ratio in zip(shape[1:], ratios, strict=True))
    if min(size) < 1 or repeated > MOST_REPEATED * max(math.prod(size), math.prod(shape[1:])):
        raise GraphError(f"resizing {shape[1:]} to {size} is taken by a whole factor, or by a ratio of small numbers, alone")
    factor, step = (ratios[0].numerator, ratios[1].numerator), (ratios[0].denominator, ratios[1].denominator)
    ops: list[tuple[tuple[int, int], Op]] = [(factor, Upsample(factor=factor)), (step, Slice(step=step))]
    return tuple(op for numbers, op in ops if numbers != (1, 1))
