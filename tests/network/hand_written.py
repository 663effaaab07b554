"""The sample graphs once more, written by hand with torch.nn: what a network must agree with."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from hwnas.graph import Graph


def conv_bn(inputs: int, outputs: int, kernel: int = 3, stride: int = 1, groups: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False), nn.BatchNorm2d(outputs)
    )


def plain() -> nn.Module:
    return nn.Sequential(
        conv_bn(1, 8), nn.ReLU(), nn.MaxPool2d(2), conv_bn(8, 16), nn.ReLU(), nn.MaxPool2d(2), conv_bn(16, 16), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 10),
    )  # fmt: skip


def flat() -> nn.Module:
    return nn.Sequential(conv_bn(1, 4, stride=2), nn.ReLU(), conv_bn(4, 8, 1), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 4 * 4, 10))


def separable() -> nn.Module:
    return nn.Sequential(
        conv_bn(3, 8), nn.ReLU(), conv_bn(8, 8, groups=8), nn.ReLU6(), conv_bn(8, 16, 1), nn.ReLU(), nn.AvgPool2d(2),
        conv_bn(16, 16, 5, groups=16), nn.ReLU(), conv_bn(16, 8, 1),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 10),
    )  # fmt: skip


class Residual(nn.Module):
    """Two blocks; modules stand in the order of the graph's nodes."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.first, self.second = conv_bn(3, 8), conv_bn(8, 8), conv_bn(8, 8)
        self.third, self.fourth, self.short = conv_bn(8, 16, stride=2), conv_bn(16, 16), conv_bn(8, 16, 1, 2)
        self.classifier = nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        stem = self.stem(x).relu()
        block = (stem + self.second(self.first(stem).relu())).relu()
        block = (self.fourth(self.third(block).relu()) + self.short(block)).relu()
        return self.classifier(block.mean((2, 3)))


class Dense(nn.Module):
    """A weighted add, a concat and a batch norm that stands alone."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.left, self.right = conv_bn(1, 8), conv_bn(8, 8), nn.Conv2d(8, 8, 1)
        self.norm, self.grouped, self.last_norm = (
            nn.BatchNorm2d(16),
            nn.Conv2d(16, 8, 3, 1, 1, groups=2, bias=False),
            nn.BatchNorm2d(8),
        )
        self.classifier = nn.Linear(8, 10)
        self.mix = 0.0

    def forward(self, x: Tensor) -> Tensor:
        stem = self.stem(x).relu()
        mixed = (1 - self.mix) * self.left(stem).relu() + self.mix * self.right(stem)
        both = nn.functional.max_pool2d(self.norm(torch.cat([stem, mixed], 1)).relu(), 3, 2, 1)
        return self.classifier(self.last_norm(self.grouped(both)).relu().mean((2, 3)))


HAND_WRITTEN = {"plain": plain, "flat": flat, "residual": Residual, "separable": separable, "dense": Dense}


def with_state(name: str, graph: Graph, state: Mapping[str, Tensor]) -> nn.Module:
    """The hand-written network of that name with the graph's weights: modules and nodes stand in the same order."""
    network = HAND_WRITTEN[name]()
    layers = [module for module in network.modules() if isinstance(module, nn.Conv2d | nn.BatchNorm2d | nn.Linear)]
    owners = [node.id for node in graph if node.op.kind in ("conv", "batch_norm", "linear")]
    for layer, owner in zip(layers, owners, strict=True):
        own = {key.partition(".")[2]: value for key, value in state.items() if key.startswith(f"{owner}.")}
        layer.load_state_dict({"num_batches_tracked": torch.tensor(0)} | own if isinstance(layer, nn.BatchNorm2d) else own)
    if isinstance(network, Dense):
        network.mix = float(next(value for key, value in state.items() if key.endswith(".mix")))
    return network
