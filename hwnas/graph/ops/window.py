"""Windows that slide over a feature map: their kernel, stride, padding and dilation along height and width.

A value that is the same along both axes is kept as one number, so that a square window has one spelling.
"""

from typing import TypeAlias

from hwnas.errors import GraphError

Size: TypeAlias = int | tuple[int, int]  # along both axes, or (height, width)
Padding: TypeAlias = int | tuple[int, int] | tuple[int, int, int, int]  # everywhere, (height, width), or as ONNX orders them
Pads: TypeAlias = tuple[int, int, int, int]  # top, left, bottom, right


def pair(value: Size) -> tuple[int, int]:
    """A size along (height, width)."""
    return (value, value) if isinstance(value, int) else (value[0], value[1])


def four(padding: Padding) -> Pads:
    """Padding at (top, left, bottom, right)."""
    if isinstance(padding, int):
        return (padding,) * 4
    if len(padding) == 2:
        return (padding[0], padding[1], padding[0], padding[1])
    return padding


def shortest(value: Padding) -> Padding:
    """The same sizes or padding in their shortest spelling: one number, a pair, or four."""
    if isinstance(value, int):
        return value
    numbers = tuple(value)
    if len(set(numbers)) == 1:
        return numbers[0]
    return numbers[:2] if len(numbers) == 4 and numbers[:2] == numbers[2:] else value


def shortest_size(value: Size) -> Size:
    """A size in its shortest spelling."""
    return value if isinstance(value, int) or value[0] != value[1] else value[0]


def steps(kind: str, size: int, kernel: int, stride: int, padding: int, dilation: int = 1, *, ceil: bool = False) -> int:
    """How many positions a window has along ``size`` pixels with ``padding`` pixels in all; as torch counts them.

    ``ceil``: a last window that reaches over the edge counts, if it begins within the image or its leading padding. Raises
    GraphError where the window does not fit.
    """
    span = dilation * (kernel - 1) + 1
    room = size + padding - span
    if room < 0:
        raise GraphError(f"{kind}: a window of {span} (padding {padding / 2:g}) does not fit into {size} pixels")
    return (-(-room // stride) if ceil else room // stride) + 1
