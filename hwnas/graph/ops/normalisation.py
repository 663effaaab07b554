"""Normalisation over the batch, over channels, in groups of channels; and a plain scale per channel."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from hwnas.errors import GraphError
from hwnas.graph.ops.layout import Layout, Passes, Pins
from hwnas.graph.ops.op import OUTPUT, Initial, OnnxForm, OnnxNode, Op, Shape, feature_map, positive
from hwnas.graph.ops.registry import register_op


def _positive_eps(op: Op, eps: float) -> None:
    if not eps > 0:
        raise GraphError(f"{op.kind}.eps must be positive, got {eps}")


def _per_channel(channels: int) -> dict[str, Shape]:
    return {"weight": (channels,), "bias": (channels,)}


@register_op
@dataclass(frozen=True, slots=True, kw_only=True)
class BatchNorm(Op):
    """Batch normalisation over the channels, as torch.nn.BatchNorm2d.

    ``momentum`` is the share of a batch's own statistics in the running ones, in [0, 1].
    """

    kind: ClassVar[str] = "batch_norm"
    fuses: ClassVar[Literal["norm", "activation"] | None] = "norm"
    channelwise: ClassVar[bool] = True
    eps: float = 1e-5
    momentum: float = 0.1

    def __post_init__(self) -> None:
        _positive_eps(self, self.eps)
        if not 0 <= self.momentum <= 1:
            raise GraphError(f"batch_norm.momentum must lie in [0, 1], got {self.momentum}")

    def shape(self, inputs: Sequence[Shape]) -> Shape:
        """The input's."""
        return feature_map(self, inputs[0])

    def layout(self, inputs: Sequence[Shape]) -> Layout:
        """The input's channels, four numbers each."""
        return Passes(tensors=("weight", "bias", "running_mean", "running_var"))

    def relevance(self, elements: Sequence[int]) -> tuple[float, ...]:
        """All to the one input."""
        return (1.0,)

    def parameters(self, inputs: Sequence[Shape]) -> dict[str, Shape]:
        """``weight`` (scale) and ``bias`` (offset), one for each channel."""
        return _per_channel(inputs[0][0])

    def buffers(self, inputs: Sequence[Shape]) -> dict[str, Shape]:
        """``running_mean`` and ``running_var``, one for each channel."""
        return {"running_mean": (inputs[0][0],), "running_var": (inputs[0][0],)}

    def initial(self, name: str) -> Initial:
        """Mean 0 and variance 1, scale 1 and offset 0."""
        return "ones" if name in ("weight", "running_var") else "zeros"

    def onnx(self, inputs: Sequence[Shape]) -> OnnxForm:
        """BatchNormalization; deployed it is folded into the convolution before it wherever it can."""
        return OnnxForm.single("BatchNormalization", ("x0", "weight", "bias", "running_mean", "running_var"), epsilon=self.eps)


@dataclass(frozen=True, slots=True, kw_only=True)
class OverChannels(Op):
    """What the norms that mix channels share: a fixed number of channels, and a scale and an offset for each of them."""

    def layout(self, inputs: Sequence[Shape]) -> Layout:
        """A fixed number of channels: another one would change every mean."""
        return Pins()

    def relevance(self, elements: Sequence[int]) -> tuple[float, ...]:
        """All to the one input."""
        return (1.0,)

    def parameters(self, inputs: Sequence[Shape]) -> dict[str, Shape]:
        """``weight`` (scale) and ``bias`` (offset), one for each channel."""
        return _per_channel(inputs[0][0])

    def initial(self, name: str) -> Initial:
        """Scale 1, offset 0."""
        return "ones" if name == "weight" else "zeros"


@register_op
@dataclass(frozen=True, slots=True, kw_only=True)
class LayerNorm(OverChannels):
    """Layer normalisation over the channels of each pixel (or the features of a vector), with a scale and an offset a channel.

    The same as torch.nn.LayerNorm with the channels last (Ba, Kiros, Hinton 2016, arXiv 1607.06450).
    """

    kind: ClassVar[str] = "layer_norm"
    eps: float = 1e-5

    def __post_init__(self) -> None:
        _positive_eps(self, self.eps)

    def shape(self, inputs: Sequence[Shape]) -> Shape:
        """The input's."""
        return inputs[0]

    def onnx(self, inputs: Sequence[Shape]) -> OnnxForm:
        """LayerNormalization over the last axis, between two transpositions of a feature map."""
        norm = ("weight", "bias")
        if len(inputs[0]) == 1:
            return OnnxForm.single("LayerNormalization", ("x0", *norm), axis=-1, epsilon=self.eps)
        return OnnxForm(
            nodes=(
                OnnxNode(op_type="Transpose", inputs=("x0",), attributes={"perm": (0, 2, 3, 1)}, output="last"),
                OnnxNode(
                    op_type="LayerNormalization",
                    inputs=("last", *norm),
                    attributes={"axis": -1, "epsilon": self.eps},
                    output="normal",
                ),
                OnnxNode(op_type="Transpose", inputs=("normal",), attributes={"perm": (0, 3, 1, 2)}),
            )
        )


@register_op
@dataclass(frozen=True, slots=True, kw_only=True)
class GroupNorm(OverChannels):
    """Group normalisation: each image's channels in ``groups`` of equal size (Wu and He 2018, arXiv 1803.08494)."""

    kind: ClassVar[str] = "group_norm"
    groups: int
    eps: float = 1e-5

    def __post_init__(self) -> None:
        positive(self, groups=self.groups)
        _positive_eps(self, self.eps)

    def shape(self, inputs: Sequence[Shape]) -> Shape:
        """The input's."""
        shape = feature_map(self, inputs[0])
        if shape[0] % self.groups:
            raise GraphError(f"group_norm: {shape[0]} channels do not divide into {self.groups} groups")
        return shape

    def onnx(self, inputs: Sequence[Shape]) -> OnnxForm:
        """InstanceNormalization of the groups as channels, then scale and offset (GroupNormalization came with opset 18)."""
        channels, height, width = inputs[0]
        return OnnxForm(
            nodes=(
                OnnxNode(op_type="Reshape", inputs=("x0", "grouped"), output="groups"),
                OnnxNode(
                    op_type="InstanceNormalization",
                    inputs=("groups", "ones", "zeros"),
                    attributes={"epsilon": self.eps},
                    output="normal",
                ),
                OnnxNode(op_type="Reshape", inputs=("normal", "whole"), output="map"),
                OnnxNode(op_type="Reshape", inputs=("weight", "column"), output="scale"),
                OnnxNode(op_type="Reshape", inputs=("bias", "column"), output="offset"),
                OnnxNode(op_type="Mul", inputs=("map", "scale"), output="scaled"),
                OnnxNode(op_type="Add", inputs=("scaled", "offset")),
            ),
            constants={
                "grouped": (0, self.groups, -1),
                "whole": (-1, channels, height, width),
                "column": (channels, 1, 1),
                "ones": (1.0,) * self.groups,
                "zeros": (0.0,) * self.groups,
            },
        )


@register_op
@dataclass(frozen=True, slots=True, kw_only=True)
class Scale(Op):
    """Each channel (or feature) times a learnable number of its own: layer scale (Touvron et al. 2021, arXiv 2103.17239)."""

    kind: ClassVar[str] = "scale"
    channelwise: ClassVar[bool] = True

    def shape(self, inputs: Sequence[Shape]) -> Shape:
        """The input's."""
        return inputs[0]

    def layout(self, inputs: Sequence[Shape]) -> Layout:
        """The input's channels, one number each."""
        return Passes(tensors=("weight",))

    def relevance(self, elements: Sequence[int]) -> tuple[float, ...]:
        """All to the one input."""
        return (1.0,)

    def parameters(self, inputs: Sequence[Shape]) -> dict[str, Shape]:
        """``weight``, one number for each channel."""
        return {"weight": (inputs[0][0],)}

    def initial(self, name: str) -> Initial:
        """1: the input passes."""
        return "ones"

    def onnx(self, inputs: Sequence[Shape]) -> OnnxForm:
        """Mul by the numbers, as a column for feature maps."""
        if len(inputs[0]) == 1:
            return OnnxForm.single("Mul", ("x0", "weight"))
        return OnnxForm(
            nodes=(
                OnnxNode(op_type="Reshape", inputs=("weight", "column"), output="factor"),
                OnnxNode(op_type="Mul", inputs=("x0", "factor"), output=OUTPUT),
            ),
            constants={"column": (inputs[0][0], 1, 1)},
        )
