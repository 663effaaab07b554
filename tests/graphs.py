"""Sample graphs for tests: small networks that between them use every operation."""

from hwnas.graph import (
    Add,
    AvgPool,
    BatchNorm,
    Clip,
    Concat,
    Conv,
    Flatten,
    GlobalAvgPool,
    Graph,
    Input,
    Linear,
    MaxPool,
    Node,
    Op,
    WeightedAdd,
)


class Builder:
    """Writes a graph from top to bottom; every method returns the id of what it added last."""

    def __init__(self, channels: int = 1, height: int = 8, width: int = 8) -> None:
        self.nodes = [Node(1, Input(channels=channels, height=height, width=width))]

    def add(self, op: Op, *inputs: int) -> int:
        self.nodes.append(Node(len(self.nodes) + 1, op, inputs or (len(self.nodes),)))
        return len(self.nodes)

    def conv(self, channels: int, *inputs: int, kernel: int = 3, stride: int = 1, groups: int = 1, relu: bool = True) -> int:
        self.add(Conv(out_channels=channels, kernel=kernel, padding=kernel // 2, stride=stride, groups=groups), *inputs)
        last = self.add(BatchNorm())
        return self.add(Clip()) if relu else last

    def head(self, classes: int = 10, *, pool: bool = True) -> Graph:
        if pool:
            self.add(GlobalAvgPool())
        self.add(Flatten())
        logits = self.add(Linear(out_features=classes))
        return Graph(tuple(self.nodes), logits)


def plain() -> Graph:
    """Three Conv-BN-ReLU with max-pools between and a global-average-pool head."""
    b = Builder()
    b.conv(8)
    b.add(MaxPool())
    b.conv(16)
    b.add(MaxPool())
    b.conv(16)
    return b.head()


def flat() -> Graph:
    """A strided stem and a flatten head."""
    b = Builder()
    b.conv(4, stride=2)
    b.conv(8, kernel=1)
    return b.head(pool=False)


def residual() -> Graph:
    """Two residual blocks, the second one strided with a projection."""
    b = Builder(3, 12, 8)
    stem = b.conv(8)
    b.conv(8)
    body = b.conv(8, relu=False)
    b.add(Add(), stem, body)
    block = b.add(Clip())
    b.conv(16, stride=2)
    body = b.conv(16, relu=False)
    short = b.conv(16, block, kernel=1, stride=2, relu=False)
    b.add(Add(), body, short)
    b.add(Clip())
    return b.head()


def separable() -> Graph:
    """Depthwise separable convolutions with ReLU6."""
    b = Builder(3, 8, 8)
    b.conv(8)
    b.conv(8, groups=8, relu=False)
    b.add(Clip(high=6.0))
    b.conv(16, kernel=1)
    b.add(AvgPool())
    b.conv(16, groups=16, kernel=5)
    b.conv(8, kernel=1, relu=False)
    return b.head()


def dense() -> Graph:
    """Concats, a weighted add, a convolution with bias, a grouped one, and a batch norm of a concat."""
    b = Builder()
    stem = b.conv(8)
    left = b.conv(8, stem)
    right = b.add(Conv(out_channels=8, kernel=1, padding=0, bias=True), stem)
    mixed = b.add(WeightedAdd(), left, right)
    b.add(Concat(), stem, mixed)
    b.add(BatchNorm())
    b.add(Clip())
    b.add(MaxPool(kernel=3, stride=2, padding=1))
    b.add(Conv(out_channels=8, kernel=3, padding=1, groups=2))
    b.add(BatchNorm())
    b.add(Clip())
    return b.head()


SAMPLES = {"plain": plain, "flat": flat, "residual": residual, "separable": separable, "dense": dense}
