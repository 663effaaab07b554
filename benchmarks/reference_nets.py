"""Reference networks of the benchmarks.

As graphs: residual_cnn, mobilenet_v2 and resnet in their styles, at any size. They are trained by the benchmarks with the same
data and budget as the networks that they are compared with. As plain torch modules, for benchmarks that train them without
hwnas: resnet8 and textbook_mobilenet_v2.
"""

from collections import OrderedDict
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

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


class _Residual(nn.Module):
    """relu(shortcut(x) + body(x)) for a residual block, shortcut(x) + body(x) for an inverted one."""

    def __init__(self, body: nn.Module, shortcut: nn.Module, activation: nn.Module) -> None:
        super().__init__()
        self.body, self.shortcut, self.activation = body, shortcut, activation

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.activation(self.body(x) + self.shortcut(x))
        return result


def _convolution(
    source: int, channels: int, *, kernel: int = 3, stride: int = 1, groups: int = 1, activation: nn.Module | None
) -> nn.Sequential:
    """Convolution without bias, batch norm and, unless None, an activation."""
    convolution = nn.Conv2d(source, channels, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(channels), *([] if activation is None else [activation]))


def _classifier(channels: int, classes: int) -> list[nn.Module]:
    return [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes)]


def resnet8(*, width: float = 1.0, classes: int = 10, channels: int = 3) -> nn.Module:
    """The ResNet-8 of MLPerf Tiny [Banbury2021]: three residual blocks of 16, 32 and 64 channels times ``width``, ReLU.

    Convolutions have no bias, shortcuts a batch norm [He2016]: 78,042 parameters at width 1 with ten classes.
    """
    widths = [round(width * base) for base in (16, 32, 64)]
    layers: list[nn.Module] = [_convolution(channels, widths[0], activation=nn.ReLU(inplace=True))]
    source = widths[0]
    for target, stride in zip(widths, (1, 2, 2), strict=True):
        body = nn.Sequential(
            _convolution(source, target, stride=stride, activation=nn.ReLU(inplace=True)),
            _convolution(target, target, activation=None),
        )
        same = stride == 1 and source == target
        shortcut = nn.Identity() if same else _convolution(source, target, kernel=1, stride=stride, activation=None)
        layers.append(_Residual(body, shortcut, nn.ReLU(inplace=True)))
        source = target
    return nn.Sequential(*layers, *_classifier(source, classes))


# Expansion, channels, blocks [Sandler2018, table 2]; the stride is that for 32x32 images, 8 in all instead of 32.
_INVERTED_RESIDUALS = (
    (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 1), (6, 320, 1, 1),
)  # fmt: skip


def textbook_mobilenet_v2(*, width: float = 1.0, classes: int = 10, channels: int = 3) -> nn.Module:
    """MobileNetV2 [Sandler2018, table 2] for 32x32 images: all its blocks, ReLU6, widths in multiples of 8.

    The stem and two stages do not halve, so that maps of 4x4 are left at the end; the last convolution is scaled by the
    width too (the paper scales it by widths above 1 only), or it would hold most of a small network's weights.
    """
    source = _of_eight(32 * width)
    layers: list[nn.Module] = [_convolution(channels, source, activation=nn.ReLU6(inplace=True))]
    for expansion, base, blocks, first_stride in _INVERTED_RESIDUALS:
        target = _of_eight(base * width)
        for stride in (first_stride, *[1] * (blocks - 1)):
            layers.append(_inverted_residual(source, target, expansion, stride))
            source = target
    last = _of_eight(1280 * width)
    layers.append(_convolution(source, last, kernel=1, activation=nn.ReLU6(inplace=True)))
    return nn.Sequential(*layers, *_classifier(last, classes))


def _inverted_residual(source: int, target: int, expansion: int, stride: int) -> nn.Module:
    inner = source * expansion
    expanding = {"expand": _convolution(source, inner, kernel=1, activation=nn.ReLU6(inplace=True))} if expansion > 1 else {}
    filtering = _convolution(inner, inner, stride=stride, groups=inner, activation=nn.ReLU6(inplace=True))
    projecting = _convolution(inner, target, kernel=1, activation=None)
    body = nn.Sequential(OrderedDict(**expanding, filter=filtering, project=projecting))
    return _Residual(body, nn.Identity(), nn.Identity()) if stride == 1 and source == target else body


def _of_eight(channels: float) -> int:
    """The multiple of 8 nearest to ``channels``, at least 8, and one more where that is below 90 % of them [Sandler2018]."""
    nearest = max(8, int(channels + 4) // 8 * 8)
    return nearest if nearest >= 0.9 * channels else nearest + 8
