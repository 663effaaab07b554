"""Operations of several tensors: sums, products and concatenation."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from hwnas.errors import GraphError
from hwnas.graph.ops.layout import Joins, Layout, Ties
from hwnas.graph.ops.op import OUTPUT, Initial, OnnxForm, OnnxNode, Op, Shape, feature_map, same_shape
from hwnas.graph.ops.registry import register_op


@dataclass(frozen=True, slots=True, kw_only=True)
class Elementwise(Op):
    """What the operations that combine tensors element by element share; relevance is split equally (our definition)."""

    channelwise: ClassVar[bool] = True
    arity: ClassVar[tuple[int, int | None]] = (2, 2)

    def shape(self, inputs: Sequence[Shape]) -> Shape:
        """The inputs'."""
        return same_shape(self, inputs)

    def layout(self, inputs: Sequence[Shape]) -> Layout:
        """The channels of each input are the same channels."""
        return Ties()

    def relevance(self, elements: Sequence[int]) -> tuple[float, ...]:
        """Equal shares: never by what is learnt, the index is topology alone."""
        return (1.0 / len(elements),) * len(elements)


@register_op
@dataclass(frozen=True, slots=True, kw_only=True)
class Add(Elementwise):
    """The sum of two or more tensors of one shape; their order does not matter."""

    kind: ClassVar[str] = "add"
    arity: ClassVar[tuple[int, int | None]] = (2, None)
    ordered: ClassVar[bool] = False

    def non_negative(self, inputs: Sequence[bool]) -> bool:
        """Where all inputs are."""
        return all(inputs)

    def onnx(self, inputs: Sequence[Shape]) -> OnnxForm:
        """A chain of Adds."""
        nodes, total = [], "x0"
        for place in range(1, len(inputs)):
            partial = OUTPUT if place == len(inputs) - 1 else f"sum{place + 1}"
            nodes.append(OnnxNode(op_type="Add", inputs=(total, f"x{place}"), output=partial))
            total = partial
        return OnnxForm(nodes=tuple(nodes))


@register_op
@dataclass(frozen=True, slots=True, kw_only=True)
class WeightedAdd(Elementwise):
    """``(1 - mix) x + mix y`` with a learnable scalar ``mix``: a network morphism of type IV where mix = 0 [Elsken2017]."""

    kind: ClassVar[str] = "weighted_add"

    def parameters(self, inputs: Sequence[Shape]) -> dict[str, Shape]:
        """``mix``, a scalar."""
        return {"mix": ()}

    def initial(self, name: str) -> Initial:
        """Zero: the first input alone."""
        return "zeros"

    def onnx(self, inputs: Sequence[Shape]) -> OnnxForm:
        """x + mix (y - x); deployed it is a sum with fixed factors."""
        return OnnxForm(
            nodes=(
                OnnxNode(op_type="Sub", inputs=("x1", "x0"), output="difference"),
                OnnxNode(op_type="Mul", inputs=("difference", "mix"), output="moved"),
                OnnxNode(op_type="Add", inputs=("x0", "moved")),
            )
        )


@register_op
@dataclass(frozen=True, slots=True, kw_only=True)
class ScaledAdd(Elementwise):
    """``a x + b y`` with fixed ``factors`` (a, b): what a weighted add is once it is deployed, or a tensor twice."""

    kind: ClassVar[str] = "scaled_add"
    factors: tuple[float, float]

    def non_negative(self, inputs: Sequence[bool]) -> bool:
        """Where both inputs and both factors are."""
        return all(inputs) and min(self.factors) >= 0

    def onnx(self, inputs: Sequence[Shape]) -> OnnxForm:
        """Add of the scaled inputs; a factor of 1 needs nothing."""
        scaled = [place for place, factor in enumerate(self.factors) if factor != 1.0]
        terms = [f"term{place}" if place in scaled else f"x{place}" for place in range(2)]
        nodes = [OnnxNode(op_type="Mul", inputs=(f"x{p}", f"factor{p}"), output=f"term{p}") for p in scaled]
        nodes.append(OnnxNode(op_type="Add", inputs=tuple(terms)))
        return OnnxForm(nodes=tuple(nodes), constants={f"factor{p}": self.factors[p] for p in scaled})


@register_op
@dataclass(frozen=True, slots=True, kw_only=True)
class Multiply(Elementwise):
    """The product of two tensors of one shape, or of a feature map and a gate (C, 1, 1): squeeze-and-excitation.

    Their order does not matter (Hu et al. 2018, arXiv 1709.01507).
    """

    kind: ClassVar[str] = "multiply"
    ordered: ClassVar[bool] = False

    def shape(self, inputs: Sequence[Shape]) -> Shape:
        """That of the larger input."""
        one, other = inputs
        if one != other and not (len(one) == len(other) == 3 and one[0] == other[0] and (1, 1) in (one[1:], other[1:])):
            raise GraphError(f"multiply needs two tensors of one shape, or a feature map and (C, 1, 1), got {one} and {other}")
        return max(one, other)

    def non_negative(self, inputs: Sequence[bool]) -> bool:
        """Where both inputs are."""
        return all(inputs)

    def onnx(self, inputs: Sequence[Shape]) -> OnnxForm:
        """Mul."""
        return OnnxForm.single("Mul", ("x0", "x1"))


@register_op
@dataclass(frozen=True, slots=True, kw_only=True)
class Subtract(Elementwise):
    """The first tensor minus the second."""

    kind: ClassVar[str] = "subtract"

    def onnx(self, inputs: Sequence[Shape]) -> OnnxForm:
        """Sub."""
        return OnnxForm.single("Sub", ("x0", "x1"))


@register_op
@dataclass(frozen=True, slots=True, kw_only=True)
class Concat(Op):
    """Feature maps of equal height and width, one after the other along the channels."""

    kind: ClassVar[str] = "concat"
    arity: ClassVar[tuple[int, int | None]] = (2, None)

    def shape(self, inputs: Sequence[Shape]) -> Shape:
        """``(sum of C, H, W)``."""
        maps = [feature_map(self, shape) for shape in inputs]
        if len({shape[1:] for shape in maps}) != 1:
            raise GraphError(f"concat needs inputs of one height and width, got {', '.join(map(str, inputs))}")
        return (sum(shape[0] for shape in maps), *maps[0][1:])

    def layout(self, inputs: Sequence[Shape]) -> Layout:
        """The inputs' channels one after the other."""
        return Joins()

    def relevance(self, elements: Sequence[int]) -> tuple[float, ...]:
        """By size."""
        return tuple(size / sum(elements) for size in elements)

    def non_negative(self, inputs: Sequence[bool]) -> bool:
        """Where all inputs are."""
        return all(inputs)

    def onnx(self, inputs: Sequence[Shape]) -> OnnxForm:
        """Concat along the channels."""
        return OnnxForm.single("Concat", tuple(f"x{place}" for place in range(len(inputs))), axis=1)
