"""A value with the half-width of its interval as text, in as many digits as the interval lets count."""

import math
from collections.abc import Sequence

PLUS_MINUS = " ± "


def with_interval(value: float, half: float) -> str:
    """``0.00420 ± 0.00003``: one digit of the half-width, two where it begins with 1; four of the value where `half` is 0."""
    if half <= 0:
        return f"{value:.4g}"
    first = math.floor(math.log10(half))
    decimals = max(0, (1 if half < 2 * 10.0**first else 0) - first)
    return f"{value:.{decimals}f}{PLUS_MINUS}{half:.{decimals}f}"


def aligned(cells: Sequence[str]) -> list[str]:
    """The same texts, padded so that the points of the values stand below each other, and those of the half-widths."""
    values, _, halves = zip(*(cell.partition(PLUS_MINUS) for cell in cells), strict=True)
    texts = zip(_points_aligned(values), _points_aligned(halves), cells, strict=True)
    return [value + (PLUS_MINUS if PLUS_MINUS in cell else " " * len(PLUS_MINUS)) + half for value, half, cell in texts]


def _points_aligned(numbers: Sequence[str]) -> list[str]:
    parts = [number.partition(".") for number in numbers]
    before = max(len(whole) for whole, _, _ in parts)
    behind = max(len(point + fraction) for _, point, fraction in parts)
    return [whole.rjust(before) + (point + fraction).ljust(behind) for whole, point, fraction in parts]
