"""The windows of ONNX's convolutions and poolings: kernel, strides, padding, written out or computed from the input."""

from hwnas.graph import Shape
from hwnas.graph.ops import Pads
from hwnas.onnxfiles.operator import Operator

AUTOMATIC = ("SAME_UPPER", "SAME_LOWER")


def sides(operator: Operator, name: str, default: int | None) -> tuple[int, int]:
    """An attribute of two numbers, for height and width. Raises UnsupportedOperatorError for any other number of them."""
    found = operator.integers(name, () if default is None else (default, default))
    if len(found) != 2:
        raise operator.refuse(f"expected {name} for height and width, got {list(found)}")
    return found[0], found[1]


def pads(operator: Operator, shape: Shape, kernel: tuple[int, int]) -> Pads:
    """The padding at (top, left, bottom, right).

    SAME: as much as leaves ceil(size / stride) positions, the odd pixel behind (SAME_UPPER) or before (SAME_LOWER).
    """
    mode = operator.text("auto_pad", "NOTSET")
    if mode == "VALID":
        return (0, 0, 0, 0)
    if mode == "NOTSET":
        given = operator.integers("pads", (0, 0, 0, 0))
        if len(given) != 4:
            raise operator.refuse(f"expected pads at top, left, bottom, right, got {list(given)}")
        return given[0], given[1], given[2], given[3]
    strides, dilations = sides(operator, "strides", 1), sides(operator, "dilations", 1)
    if mode not in AUTOMATIC or len(shape) != 3 or min(strides) < 1:
        raise operator.refuse(f"auto_pad {mode} is not known, or not for an input of shape {shape} and strides {strides}")
    before, after = [], []
    for size, window, stride, dilation in zip(shape[1:], kernel, strides, dilations, strict=True):
        missing = max(0, (-(-size // stride) - 1) * stride + dilation * (window - 1) + 1 - size)
        small, large = missing // 2, missing - missing // 2
        before.append(small if mode == "SAME_UPPER" else large)
        after.append(large if mode == "SAME_UPPER" else small)
    return before[0], before[1], after[0], after[1]
