"""Reference networks of the benchmarks, as graphs: residual_cnn, mobilenet_v2 and resnet in their styles, at any size.

They are trained by the benchmarks with the same data and budget as the networks that they are compared with.
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from hwnas.graph import Add, BatchNorm, Clip, Conv, Flatten, GlobalAvgPool, Graph, Input, Linear, Node, Op


@dataclass
class _Writer:
    """Writes a graph from top to bottom; every method gives the id of what it added last."""

    nodes: list[Node] = field(default_factory=list)

    def add(self, op: Op, *inputs: int) -> int:
        self.nodes.append(Node(len(self.nodes) + 1, op, inputs))
        return len(self.nodes)

    def conv(self, source: int, channels: int, *, kernel: int = 3, stride: int = 1, groups: int = 1, clip: Clip | None) -> int:
        made = Conv(out_channels=channels, kernel=kernel, padding=kernel // 2, stride=stride, groups=groups)
        last = self.add(BatchNorm(), self.add(made, source))
        return last if clip is None else self.add(clip, last)

    def head(self, source: int, classes: int) -> Graph:
        pooled = self.add(Flatten(), self.add(GlobalAvgPool(), source))
        logits = self.add(Linear(out_features=classes), pooled)
        return Graph(tuple(self.nodes), logits)


def resnet(
    *,
    shape: tuple[int, int, int] = (3, 32, 32),
    classes: int = 10,
    widths: tuple[int, ...] = (16, 32, 64),
    blocks: int = 1,
) -> Graph:
    """ResNet-style [He2016, section 4.2]: a stem, then per stage `blocks` of two convolutions; projections where it halves."""
    writer = _Writer()
    image = writer.add(Input(channels=shape[0], height=shape[1], width=shape[2]))
    x, channels = writer.conv(image, widths[0], clip=Clip()), widths[0]
    for stage, width in enumerate(widths):
        for block in range(blocks):
            stride = 2 if stage > 0 and block == 0 else 1
            body = writer.conv(x, width, stride=stride, clip=Clip())
            body = writer.conv(body, width, clip=None)
            short = x if stride == 1 and channels == width else writer.conv(x, width, kernel=1, stride=stride, clip=None)
            x, channels = writer.add(Clip(), writer.add(Add(), body, short)), width
    return writer.head(x, classes)


def residual_cnn() -> Graph:
    """The network of METHODS section 4: about 78 k parameters, three stages of 16, 32, 64 channels, 32x32 colour images."""
    return resnet()


def mobilenet_v2(
    *,
    shape: tuple[int, int, int] = (3, 32, 32),
    classes: int = 10,
    widths: tuple[int, ...] = (16, 24, 32, 64),
    blocks: int = 2,
    expansion: int = 6,
) -> Graph:
    """MobileNetV2-style [Sandler2018]: inverted residuals with ReLU6, linear bottlenecks, a 1x1 convolution before the head."""
    writer, relu6 = _Writer(), Clip(high=6.0)
    image = writer.add(Input(channels=shape[0], height=shape[1], width=shape[2]))
    x, channels = writer.conv(image, widths[0], clip=relu6), widths[0]
    for stage, width in enumerate(widths):
        for block in range(blocks):
            stride = 2 if stage > 0 and block == 0 else 1
            inner = writer.conv(x, channels * expansion, kernel=1, clip=relu6)
            inner = writer.conv(inner, channels * expansion, stride=stride, groups=channels * expansion, clip=relu6)
            inner = writer.conv(inner, width, kernel=1, clip=None)
            x, channels = (writer.add(Add(), x, inner) if stride == 1 and channels == width else inner), width
    return writer.head(writer.conv(x, 4 * widths[-1], kernel=1, clip=relu6), classes)


def he_state(graph: Graph, generator: torch.Generator) -> dict[str, Tensor]:
    """He-initialised weights and neutral batch norms: a state to start training from, or to time."""
    state = {}
    for name, shape in graph.tensors().items():
        if len(shape) >= 2:
            fan_in = int(torch.tensor(shape[1:]).prod())
            state[name] = torch.randn(shape, generator=generator) * (2 / fan_in) ** 0.5
        else:
            state[name] = torch.ones(shape) if name.endswith((".running_var", ".weight")) else torch.zeros(shape)
    return state
