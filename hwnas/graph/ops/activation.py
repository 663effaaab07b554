"""Element-wise activations."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from hwnas.errors import GraphError
from hwnas.graph.ops.layout import Layout, Passes
from hwnas.graph.ops.op import Initial, OnnxForm, OnnxNode, Op, Shape
from hwnas.graph.ops.registry import register_op

Fuses = Literal["norm", "activation"] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Elementwise(Op):
    """What the operations that compute each element from the same element of their one input share."""

    channelwise: ClassVar[bool] = True

    def shape(self, inputs: Sequence[Shape]) -> Shape:
        """The input's."""
        return inputs[0]

    def layout(self, inputs: Sequence[Shape]) -> Layout:
        """The input's channels."""
        return Passes()

    def relevance(self, elements: Sequence[int]) -> tuple[float, ...]:
        """All to the one input."""
        return (1.0,)


@register_op
@dataclass(frozen=True, slots=True, kw_only=True)
class Clip(Elementwise):
    """Values limited to [low, high]; ReLU is Clip(low=0), ReLU6 is Clip(low=0, high=6)."""

    kind: ClassVar[str] = "clip"
    fuses: ClassVar[Fuses] = "activation"
    low: float = 0.0
    high: float = math.inf

    def __post_init__(self) -> None:
        if not self.low < self.high:
            raise GraphError(f"clip needs low < high, got low={self.low}, high={self.high}")

    @property
    def is_relu(self) -> bool:
        """Whether this is a plain ReLU."""
        return self.low == 0.0 and self.high == math.inf

    @property
    def known_as(self) -> str | None:
        """ReLU and ReLU6."""
        names = {(0.0, math.inf): "relu", (0.0, 6.0): "relu6"}
        return names.get((self.low, self.high))

    @property
    def scales_through(self) -> bool:  # type: ignore[override]
        """A plain ReLU: relu(a x) = a relu(x) for a >= 0."""
        return self.is_relu

    def non_negative(self, inputs: Sequence[bool]) -> bool:
        """Where the lower bound is at least 0."""
        return self.low >= 0

    def onnx(self, inputs: Sequence[Shape]) -> OnnxForm:
        """Relu where it is one, else Clip with its finite bounds as inputs."""
        if self.is_relu:
            return OnnxForm.single("Relu", ("x0",))
        bounds = {"low": self.low, "high": self.high}
        names = [name if math.isfinite(bound) else "" for name, bound in bounds.items()]
        finite = {name: bound for name, bound in bounds.items() if math.isfinite(bound)}
        return OnnxForm(nodes=(OnnxNode(op_type="Clip", inputs=("x0", *names)),), constants=finite)


@register_op
@dataclass(frozen=True, slots=True, kw_only=True)
class Sigmoid(Elementwise):
    """1 / (1 + exp(-x))."""

    kind: ClassVar[str] = "sigmoid"
    fuses: ClassVar[Fuses] = "activation"

    def non_negative(self, inputs: Sequence[bool]) -> bool:
        """Always."""
        return True

    def onnx(self, inputs: Sequence[Shape]) -> OnnxForm:
        """Sigmoid."""
        return OnnxForm.single("Sigmoid", ("x0",))


@register_op
@dataclass(frozen=True, slots=True, kw_only=True)
class HardSigmoid(Elementwise):
    """clip(x / 6 + 1 / 2, 0, 1), as torch.nn.Hardsigmoid (Howard et al. 2019, arXiv 1905.02244)."""

    kind: ClassVar[str] = "hard_sigmoid"
    fuses: ClassVar[Fuses] = "activation"

    def non_negative(self, inputs: Sequence[bool]) -> bool:
        """Always."""
        return True

    def onnx(self, inputs: Sequence[Shape]) -> OnnxForm:
        """HardSigmoid with slope 1/6."""
        return OnnxForm.single("HardSigmoid", ("x0",), alpha=1 / 6, beta=0.5)


@register_op
@dataclass(frozen=True, slots=True, kw_only=True)
class Silu(Elementwise):
    """x sigmoid(x), also called swish (Elfwing et al. 2017, arXiv 1702.03118)."""

    kind: ClassVar[str] = "silu"

    def onnx(self, inputs: Sequence[Shape]) -> OnnxForm:
        """Sigmoid and Mul."""
        return OnnxForm(
            nodes=(
                OnnxNode(op_type="Sigmoid", inputs=("x0",), output="gate"),
                OnnxNode(op_type="Mul", inputs=("x0", "gate")),
            )
        )


@register_op
@dataclass(frozen=True, slots=True, kw_only=True)
class HardSwish(Elementwise):
    """x clip(x / 6 + 1 / 2, 0, 1), as torch.nn.Hardswish (Howard et al. 2019, arXiv 1905.02244)."""

    kind: ClassVar[str] = "hard_swish"

    def onnx(self, inputs: Sequence[Shape]) -> OnnxForm:
        """HardSwish (opset 14)."""
        return OnnxForm.single("HardSwish", ("x0",))


@register_op
@dataclass(frozen=True, slots=True, kw_only=True)
class Gelu(Elementwise):
    """x Phi(x), Phi the normal distribution function (Hendrycks and Gimpel 2016, arXiv 1606.08415).

    ``tanh``: their approximation 0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) in its place.
    """

    kind: ClassVar[str] = "gelu"
    tanh: bool = False

    def onnx(self, inputs: Sequence[Shape]) -> OnnxForm:
        """Its parts (Gelu came with opset 20)."""
        head = (
            (
                OnnxNode(op_type="Mul", inputs=("x0", "x0"), output="square"),
                OnnxNode(op_type="Mul", inputs=("square", "x0"), output="cube"),
                OnnxNode(op_type="Mul", inputs=("cube", "cubic"), output="curved"),
                OnnxNode(op_type="Add", inputs=("x0", "curved"), output="bent"),
                OnnxNode(op_type="Mul", inputs=("bent", "slope"), output="scaled"),
                OnnxNode(op_type="Tanh", inputs=("scaled",), output="odd"),
            )
            if self.tanh
            else (
                OnnxNode(op_type="Div", inputs=("x0", "root"), output="scaled"),
                OnnxNode(op_type="Erf", inputs=("scaled",), output="odd"),
            )
        )
        tail = (
            OnnxNode(op_type="Add", inputs=("odd", "one"), output="raised"),
            OnnxNode(op_type="Mul", inputs=("x0", "raised"), output="twice"),
            OnnxNode(op_type="Mul", inputs=("twice", "half")),
        )
        own = {"cubic": 0.044715, "slope": math.sqrt(2 / math.pi)} if self.tanh else {"root": math.sqrt(2)}
        return OnnxForm(nodes=head + tail, constants={**own, "one": 1.0, "half": 0.5})


@register_op
@dataclass(frozen=True, slots=True, kw_only=True)
class LeakyRelu(Elementwise):
    """x where x > 0, else ``slope`` x."""

    kind: ClassVar[str] = "leaky_relu"
    fuses: ClassVar[Fuses] = "activation"
    scales_through: ClassVar[bool] = True
    slope: float = 0.01

    def __post_init__(self) -> None:
        if not math.isfinite(self.slope):
            raise GraphError(f"leaky_relu.slope must be finite, got {self.slope}")

    def non_negative(self, inputs: Sequence[bool]) -> bool:
        """Where the input is, or the slope turns negative values round."""
        return inputs[0] or self.slope <= 0

    def onnx(self, inputs: Sequence[Shape]) -> OnnxForm:
        """LeakyRelu."""
        return OnnxForm.single("LeakyRelu", ("x0",), alpha=self.slope)


@register_op
@dataclass(frozen=True, slots=True, kw_only=True)
class PRelu(Elementwise):
    """x where x > 0, else a learnable slope of its channel times x (He et al. 2015, arXiv 1502.01852)."""

    kind: ClassVar[str] = "prelu"

    def layout(self, inputs: Sequence[Shape]) -> Layout:
        """The input's channels, one slope each."""
        return Passes(tensors=("weight",))

    def parameters(self, inputs: Sequence[Shape]) -> dict[str, Shape]:
        """``weight``, one slope for each channel."""
        return {"weight": (inputs[0][0],)}

    def initial(self, name: str) -> Initial:
        """Slope 0: a ReLU."""
        return "zeros"

    def non_negative(self, inputs: Sequence[bool]) -> bool:
        """Where the input is."""
        return inputs[0]

    def onnx(self, inputs: Sequence[Shape]) -> OnnxForm:
        """PRelu with the slopes as a column."""
        column = (inputs[0][0], *(1 for _ in inputs[0][1:]))
        return OnnxForm(
            nodes=(
                OnnxNode(op_type="Reshape", inputs=("weight", "column"), output="slopes"),
                OnnxNode(op_type="PRelu", inputs=("x0", "slopes")),
            ),
            constants={"column": column},
        )
