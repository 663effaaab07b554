"""Operations that ONNX files write out in parts: each is found by its formula and becomes one operator.

x is any tensor, a product is one in any order and grouping (``_Formulas.product``); numbers are compared within 0.1 %, what
float16 leaves of them.

1. Gelu, exact:     1/2 x (1 + Erf(x / sqrt 2)), where x may be a product itself
2. Gelu, by tanh:   1/2 x (1 + Tanh(sqrt(2 / pi) (x + 0.044715 x^3)))
3. Swish (SiLU):    x Sigmoid(x)
4. HardSigmoid:     1/6 Clip(x + 3, 0, 6), and HardSwish: x HardSigmoid(x), or 1/6 x Clip(x + 3, 0, 6)
5. GroupNormalization: Reshape(InstanceNormalization(Reshape(x), ones, zeros)) scale + offset
6. LayerNormalization: (x - m) / Sqrt(ReduceMean((x - m)^2) + eps) scale + offset, m = ReduceMean(x), over the last axis, or over
   axis 1, the channels (ChannelNormalization)
7. AdaptiveAveragePool: two products with the matrices that ``hwnas.graph.AdaptiveAvgPool`` writes

A part that something else reads stays; parts that nothing reads any more go. Sources: the papers that ``hwnas.graph.ops`` names.
"""

import math
from collections.abc import Sequence

import numpy as np
import onnx
from onnx import NodeProto, helper

from hwnas.graph import AdaptiveAvgPool
from hwnas.onnxfiles.constants import Array, Constant
from hwnas.onnxfiles.operator import OURS, Operator, readable
from hwnas.onnxfiles.operators.activation import CLOSE, is_hard_sigmoid

MAX_PARTS = 32  # factors of a product and the products that they are written in; the patterns have eight at most


def with_patterns(graph: onnx.GraphProto, constants: dict[str, Constant]) -> list[Operator]:
    """The operators of a graph, each pattern as one operator; those whose outputs nothing reads left out."""
    formulas = _Formulas(graph, {name: constant.array for name, constant in constants.items()})
    operators = [formulas.recognised(operator) or operator for operator in map(Operator, graph.node)]
    needed, kept = {readable(output.name) for output in graph.output}, []
    for operator in reversed(operators):
        if needed & set(operator.outputs):
            kept.append(operator)
            needed.update(operator.inputs)
    return kept[::-1]


class _Formulas:
    """What each name of a file is computed from."""

    def __init__(self, graph: onnx.GraphProto, constants: dict[str, Array]) -> None:
        self._constants = constants
        self._producer = {name: operator for operator in map(Operator, graph.node) for name in operator.outputs[:1]}

    def recognised(self, operator: Operator) -> Operator | None:
        """The one operator that stands for all the parts that this operator is the last of, if they make a pattern."""
        found: NodeProto | None = None
        if operator.kind in ("Mul", "Div"):
            found = self._gated(operator)
        elif operator.kind == "Add":
            found = self._group_norm(operator) or self._layer_norm(operator)
        elif operator.kind == "MatMul":
            found = self._adaptive(operator)
        if found is None:
            return None
        found.output.append(operator.output)
        found.name = operator.name
        return Operator(found)

    def number(self, name: str) -> float | None:
        """The one number that a constant holds, None for anything else."""
        array = self._constants.get(name)
        return None if array is None or array.size != 1 or array.dtype.kind not in "fiu" else float(array.reshape(()))

    def made_by(self, name: str, kind: str) -> Operator | None:
        """The operator that gives this tensor, if it is of this kind."""
        operator = self._producer.get(name)
        return operator if operator is not None and operator.kind == kind else None

    def product(self, name: str) -> tuple[float, list[str]]:
        """A tensor as a number times tensors; itself where it is no product, or one of more than MAX_PARTS."""
        number, factors, waiting = 1.0, list[str](), [name]
        for _ in range(MAX_PARTS):  # a damaged file may compute a tensor from itself
            if not waiting:
                break
            part = waiting.pop()
            constant, maker = self.number(part), self._producer.get(part)
            divisor = self.number(maker.input(1)) if maker is not None and maker.kind in ("Div", "Pow") else None
            if constant is not None:
                number *= constant
            elif maker is not None and maker.kind == "Mul":
                waiting += maker.inputs
            elif maker is not None and maker.kind == "Div" and divisor:
                number /= divisor
                waiting.append(maker.input(0))
            elif maker is not None and maker.kind == "Pow" and divisor in (2.0, 3.0):
                waiting += [maker.input(0)] * int(divisor)
            else:
                factors.append(part)
        return (1.0, [name]) if waiting else (number, factors)

    def plus(self, name: str, constant: float) -> str | None:
        """x, of a tensor that is x + this constant."""
        for place, other in ((0, 1), (1, 0)):
            maker = self.made_by(name, "Add")
            number = None if maker is None else self.number(maker.input(place))
            if maker is not None and number is not None and _close(number, constant):
                return maker.input(other)
        return None

    def _gated(self, operator: Operator) -> NodeProto | None:
        """Cases 1 to 4: products of x and a function of x."""
        number, factors = self.product(operator.output)
        if len(factors) == 1 and _close(number, 1 / 6) and (inner := self._relu6_of(factors[0])):
            return _node("HardSigmoid", [inner], alpha=1 / 6, beta=0.5)
        if exact := self._gelu_of(number, factors):
            return _node("Gelu", [exact])
        if len(factors) != 2:
            return None
        for x, gate in (factors, factors[::-1]):
            if _close(number, 0.5) and self._is_tanh(gate, x):
                return _node("Gelu", [x], approximate="tanh")
            if number == 1.0 and (maker := self.made_by(gate, "Sigmoid")) and maker.input(0) == x:
                return _node("Swish", [x])
            hard = self.made_by(gate, "HardSigmoid") if number == 1.0 else None
            if hard is not None and hard.input(0) == x and is_hard_sigmoid(hard):
                return _node("HardSwish", [x])
            if _close(number, 1 / 6) and self._relu6_of(gate) == x:
                return _node("HardSwish", [x])
        return None

    def _relu6_of(self, name: str) -> str | None:
        """x, of a tensor that is Clip(x + 3, 0, 6)."""
        maker = self.made_by(name, "Clip")
        if maker is None or (self.number(maker.input(1)), self.number(maker.input(2))) != (0.0, 6.0):
            return None
        return self.plus(maker.input(0), 3.0)

    def _gelu_of(self, number: float, factors: list[str]) -> str | None:
        """x, of a product that is the exact Gelu of x, which may be a product itself."""
        for gate in factors:
            erf = self.made_by(self.plus(gate, 1.0) or "", "Erf")
            inner = None if erf is None else self._producer.get(erf.input(0))
            if inner is None or inner.kind not in ("Mul", "Div"):
                continue
            for x, place in ((inner.input(0), 1), (inner.input(1), 0)):
                constant = self.number(inner.input(place))
                own, parts = self.product(x)
                wanted = math.sqrt(2.0 if inner.kind == "Div" else 0.5)
                if constant is None or not _close(constant, wanted) or (inner.kind == "Div" and place == 0):
                    continue
                if sorted([gate, *parts]) == sorted(factors) and _close(number, 0.5 * own):
                    return x
        return None

    def _is_tanh(self, name: str, x: str) -> bool:
        maker = self.made_by(self.plus(name, 1.0) or "", "Tanh")
        if maker is None:
            return False
        number, factors = self.product(maker.input(0))
        total = self.made_by(factors[0], "Add") if len(factors) == 1 else None
        if total is None or x not in total.inputs or not _close(number, math.sqrt(2 / math.pi)):
            return False
        number, factors = self.product(total.input(1 - total.inputs.index(x)))
        return factors == [x] * 3 and _close(number, 0.044715)

    def _affine(self, operator: Operator) -> tuple[str, str, str] | None:
        """(x, scale, offset) of a sum x scale + offset with constants."""
        for place in (0, 1):
            offset, product = operator.input(place), self.made_by(operator.input(1 - place), "Mul")
            if offset not in self._constants or product is None:
                continue
            for one, other in (product.inputs, product.inputs[::-1]) if len(product.inputs) == 2 else ():
                if one in self._constants and other not in self._constants:
                    return other, one, offset
        return None

    def _group_norm(self, operator: Operator) -> NodeProto | None:
        """Case 5; the second reshape is left to the comparison with the file."""
        affine = self._affine(operator)
        back = None if affine is None else self.made_by(affine[0], "Reshape")
        norm = None if back is None else self.made_by(back.input(0), "InstanceNormalization")
        forth = None if norm is None else self.made_by(norm.input(0), "Reshape")
        if affine is None or norm is None or forth is None:
            return None
        target = self._constants.get(forth.input(1), np.zeros(0))
        ones, zeros = (self._constants.get(norm.input(place)) for place in (1, 2))
        if target.size < 3 or ones is None or zeros is None or not (ones == 1).all() or (zeros != 0).any():
            return None
        groups = int(target.reshape(-1)[1])
        epsilon = norm.number("epsilon", 1e-5)
        return _node("GroupNormalization", [forth.input(0), *affine[1:]], num_groups=groups, epsilon=epsilon)

    def _layer_norm(self, operator: Operator) -> NodeProto | None:
        """Case 6."""
        affine = self._affine(operator)
        quotient = None if affine is None else self.made_by(affine[0], "Div")
        root = None if quotient is None else self.made_by(quotient.input(1), "Sqrt")
        difference = None if quotient is None else self.made_by(quotient.input(0), "Sub")
        mean = None if difference is None else self.made_by(difference.input(1), "ReduceMean")
        shifted = None if root is None else self.made_by(root.input(0), "Add")
        if affine is None or quotient is None or difference is None or mean is None or shifted is None:
            return None
        x, eps = difference.input(0), self.number(shifted.input(1))
        variance = self.made_by(shifted.input(0), "ReduceMean")
        if variance is None or eps is None or mean.input(0) != x or self.product(variance.input(0)) != (
            1.0, [quotient.input(0)] * 2,
        ):  # fmt: skip
            return None
        axes = {self._reduced(mean), self._reduced(variance)}
        if axes in ({(1,)}, {(-3,)}):
            return _node("ChannelNormalization", [x, *affine[1:]], domain=OURS, epsilon=eps)
        if axes in ({(-1,)}, {(3,)}):
            return _node("LayerNormalization", [x, *affine[1:]], axis=axes.pop()[0], epsilon=eps)
        return None

    def _reduced(self, operator: Operator) -> tuple[int, ...]:
        given = self._constants.get(operator.input(1))
        return operator.integers("axes") if given is None else tuple(given.reshape(-1).tolist())

    def _adaptive(self, operator: Operator) -> NodeProto | None:
        """Case 7: over_rows x over_columns, with the rows' matrix before and the columns' behind the feature map."""
        inner = self.made_by(operator.input(0), "MatMul")
        over_columns = self._constants.get(operator.input(1))
        over_rows = None if inner is None else self._constants.get(inner.input(0))
        if inner is None or over_rows is None or over_columns is None or over_rows.ndim != 2 or over_columns.ndim != 2:
            return None
        (height, rows), (columns, width) = over_rows.shape, over_columns.shape
        if not 0 < height * width <= rows * columns:
            return None
        form = AdaptiveAvgPool(height=height, width=width).onnx([(1, rows, columns)])
        wanted = [form.constants.get(name) for name in ("over_rows", "over_columns")]
        for matrix, weights in zip((over_rows, over_columns), wanted, strict=True):
            if weights is None or not np.allclose(matrix, np.asarray(weights, np.float32), rtol=CLOSE, atol=0.0):
                return None
        return _node("AdaptiveAveragePool", [inner.input(1)], domain=OURS, output_size=(height, width))


def _close(number: float, wanted: float) -> bool:
    return math.isclose(number, wanted, rel_tol=CLOSE)


def _node(kind: str, inputs: Sequence[str], domain: str = "", **attributes: object) -> NodeProto:
    made = NodeProto(op_type=kind, domain=domain, input=list(inputs))
    made.attribute.extend(helper.make_attribute(name, value) for name, value in attributes.items())
    return made
