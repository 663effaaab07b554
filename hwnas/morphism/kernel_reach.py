"""Which kernels make sense on a feature map."""

from hwnas.graph import Conv, Shape
from hwnas.graph.ops import pair


def fits(conv: Conv, shape: Shape) -> bool:
    """Whether a kernel suits a feature map ``(C, H, W)`` (our definition).

    It is at most one pixel wider than the map's shorter side, and each of its weights meets a pixel of the image, not padding
    alone: a weight that does not has no gradient, ever.
    """
    _, *outputs = conv.shape([shape])
    axes = zip(shape[1:], outputs, conv.window, pair(conv.stride), pair(conv.dilation), conv.pads[:2], strict=True)
    return max(conv.window) <= min(shape[1:]) + 1 and all(
        any(0 <= output * stride - before + tap * dilation < size for output in range(count))
        for size, count, kernel, stride, dilation, before in axes
        for tap in range(kernel)
    )
