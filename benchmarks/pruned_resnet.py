"""The third party's ResNet-20 pruned by Torch-Pruning: by group norm over the whole network, widths in multiples of 8.

Its shortcuts that pad channels with zeros (option A) become 1x1 convolutions that compute the same, since Torch-Pruning cannot
follow a padding whose size is written in the module; so every stage can be pruned, as with hwnas.
"""

import copy
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

WIDTHS, STEPS = (16, 32, 64), 12  # halvings of the interval in which a pruning ratio is looked for
NEED = "Torch-Pruning is needed: python -m pip install -c constraints.txt -e '.[bench]'"


class Block(nn.Module):
    """A residual block whose shortcut is a projection where it changes size."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs)
        self.conv2, self.bn2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs)
        self.shortcut = nn.Conv2d(inputs, outputs, 1, stride, bias=False) if stride > 1 else nn.Identity()
        if isinstance(self.shortcut, nn.Conv2d):
            with torch.no_grad():
                self.shortcut.weight.zero_()
                before = (outputs - inputs) // 2
                self.shortcut.weight[torch.arange(inputs) + before, torch.arange(inputs), 0, 0] = 1.0

    def forward(self, x: Tensor) -> Tensor:
        """A feature map (n, C, H, W)."""
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(y + self.shortcut(x))


class ResNet20(nn.Module):
    """ResNet-20 for 32 x 32 images [He2016, section 4.2], with projections."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, WIDTHS[0], 3, 1, 1, bias=False), nn.BatchNorm2d(WIDTHS[0])
        stages, inputs = [], WIDTHS[0]
        for number, width in enumerate(WIDTHS):
            blocks = [Block(inputs if first else width, width, 2 if first and number else 1) for first in (True, False, False)]
            stages.append(nn.Sequential(*blocks))
            inputs = width
        self.layer1, self.layer2, self.layer3 = stages
        self.linear = nn.Linear(WIDTHS[-1], 10)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (n, 10) of normalised images (n, 3, 32, 32)."""
        x = self.layer3(self.layer2(self.layer1(F.relu(self.bn1(self.conv1(x))))))
        logits: Tensor = self.linear(x.mean((2, 3)))
        return logits


def resnet20(weights: Path) -> ResNet20:
    """The network with the third party's weights, which know no projections."""
    network = ResNet20()
    missing, unexpected = network.load_state_dict(load_file(weights), strict=False)
    if unexpected or any("shortcut" not in name for name in missing):
        raise SystemExit(f"{weights} is not the ResNet-20 that this benchmark is about: {[*missing, *unexpected][:3]}")
    return network.eval()


def pruned(network: nn.Module, share: float) -> nn.Module:
    """A copy without the share of channels that Torch-Pruning's group norm finds least important in the whole network."""
    try:
        import torch_pruning
    except ImportError as error:
        raise SystemExit(NEED) from error
    smaller = copy.deepcopy(network)
    torch_pruning.pruner.BasePruner(
        smaller,
        torch.zeros(1, 3, 32, 32),
        importance=torch_pruning.importance.GroupMagnitudeImportance(p=2),
        global_pruning=True,
        pruning_ratio=share,
        max_pruning_ratio=0.9,
        round_to=8,
        ignored_layers=[module for module in smaller.modules() if isinstance(module, nn.Linear)],
    ).step()
    return smaller.eval()


def pruned_to(network: nn.Module, latency_ms: Callable[[nn.Module], float], most_ms: float) -> nn.Module:
    """The least pruned copy whose measured latency is at most ``most_ms``, by halving the interval of shares."""
    low, high = 0.0, 0.95
    found = pruned(network, high)
    for _ in range(STEPS):
        share = (low + high) / 2
        tried = pruned(network, share)
        if latency_ms(tried) <= most_ms:
            high, found = share, tried
        else:
            low = share
    return found
