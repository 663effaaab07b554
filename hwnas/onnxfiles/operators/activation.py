"""Operators that compute each element from the same element of one tensor."""

import math

from hwnas.graph import Clip, Gelu, HardSigmoid, HardSwish, LeakyRelu, PRelu, Sigmoid, Silu
from hwnas.onnxfiles.operator import Operator
from hwnas.onnxfiles.translation import Translation

CLOSE = 1e-3  # relative: what float16 leaves of a factor


def relu(made: Translation, operator: Operator) -> None:
    """ReLU."""
    made.put_alike(operator, Clip(), 0)


def clip(made: Translation, operator: Operator) -> None:
    """Clip; until opset 10 its bounds are attributes."""
    bounds = []
    for place, name, default in ((1, "min", -math.inf), (2, "max", math.inf)):
        given = made.floats(operator, place)
        if given is not None and given.array.size != 1:
            raise operator.refuse(f"its bound {name} must be one number, got {given.array.shape}")
        bounds.append(operator.number(name, default) if given is None else float(given.array.reshape(())))
    made.put_alike(operator, Clip(low=bounds[0], high=bounds[1]), 0)


def sigmoid(made: Translation, operator: Operator) -> None:
    """Sigmoid."""
    made.put_alike(operator, Sigmoid(), 0)


def hard_sigmoid(made: Translation, operator: Operator) -> None:
    """HardSigmoid with the slope 1/6 of Howard et al. 2019 alone; ONNX's own default is 0.2."""
    if not is_hard_sigmoid(operator):
        slope, offset = operator.number("alpha", 0.2), operator.number("beta", 0.5)
        raise operator.refuse(f"only alpha 1/6 and beta 0.5 are taken, got alpha {slope:g} and beta {offset:g}")
    made.put_alike(operator, HardSigmoid(), 0)


def is_hard_sigmoid(operator: Operator) -> bool:
    """Whether it computes clip(x / 6 + 1 / 2, 0, 1)."""
    slope, offset = operator.number("alpha", 0.2), operator.number("beta", 0.5)
    return math.isclose(slope, 1 / 6, rel_tol=CLOSE) and offset == 0.5


def hard_swish(made: Translation, operator: Operator) -> None:
    """HardSwish."""
    made.put_alike(operator, HardSwish(), 0)


def swish(made: Translation, operator: Operator) -> None:
    """Swish (opset 24) without a factor: SiLU."""
    if operator.number("alpha", 1.0) != 1.0:
        raise operator.refuse(f"only alpha 1 is taken, got {operator.number('alpha', 1.0):g}")
    made.put_alike(operator, Silu(), 0)


def gelu(made: Translation, operator: Operator) -> None:
    """Gelu (opset 20), exact or by tanh."""
    approximate = operator.text("approximate", "none")
    if approximate not in ("none", "tanh"):
        raise operator.refuse(f"approximate must be none or tanh, got {approximate}")
    made.put_alike(operator, Gelu(tanh=approximate == "tanh"), 0)


def leaky_relu(made: Translation, operator: Operator) -> None:
    """LeakyRelu."""
    made.put_alike(operator, LeakyRelu(slope=operator.number("alpha", 0.01)), 0)


def prelu(made: Translation, operator: Operator) -> None:
    """PRelu with a slope for each channel."""
    slopes = made.needed(operator, 1)
    each = made.per_channel(made.unscaled(operator), slopes)
    if each is None:
        raise operator.refuse(f"expected one slope for each channel, got {slopes.array.shape}")
    made.put_alike(operator, PRelu(), 0, tensors={"weight": each})
