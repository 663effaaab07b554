"""Which kernels make sense on a feature map."""

from hwnas.graph import Conv, Shape


def fits(conv: Conv, shape: Shape) -> bool:
    """Whether a kernel suits a feature map ``(C, H, W)`` (our definition).

    It is at most one pixel wider than the map's shorter side, and each of its weights meets a pixel of the image, not padding
    alone: a weight that does not has no gradient, ever.
    """
    return conv.kernel <= min(shape[1:]) + 1 and all(_every_weight_meets(conv, size) for size in shape[1:])


def _every_weight_meets(conv: Conv, size: int) -> bool:
    outputs = (size + 2 * conv.padding - conv.kernel) // conv.stride + 1
    corners = [output * conv.stride - conv.padding for output in range(outputs)]
    return all(any(0 <= corner + tap < size for corner in corners) for tap in range(conv.kernel))
