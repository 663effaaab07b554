"""Which widths a layer may take (our definition): up to 8 any, above that multiples of 8.

ONNX Runtime runs a convolution of 60 to 63 channels slower than one of 64.
"""

import math


def wider(width: int, factor: float) -> int:
    """``width`` times ``factor`` (above 1), rounded up; at least one more."""
    wanted = max(math.ceil(width * factor), width + 1)
    return wanted if wanted <= 8 else -(-wanted // 8) * 8


def narrower(width: int, removed: float) -> int:
    """``width`` (at least 2) less the share ``removed`` in (0, 1): at least 1, at least one less, rounded up where it can be."""
    wanted = max(width - max(int(width * removed), 1), 1)
    if wanted <= 8:
        return wanted
    rounded = -(-wanted // 8) * 8
    return rounded if rounded < width else rounded - 8
