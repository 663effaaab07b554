"""A network for digits that tests bring, as a user would."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hwnas.config import RunConfig, make_config
from hwnas.data import load, normalise
from hwnas.settings import DataSettings


class Digits(nn.Module):
    """A residual network with a gate, some 1,300 parameters."""

    def __init__(self, seed: int = 0, classes: int = 10) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.conv, self.norm = nn.Conv2d(1, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8, eps=1e-3, momentum=0.01)
            self.body, self.body_norm = nn.Conv2d(8, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8)
            self.squeeze, self.excite = nn.Linear(8, 4), nn.Linear(4, 8)
            self.fc = nn.Linear(8, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = F.silu(self.norm(self.conv(x)))
        y = self.body_norm(self.body(x))
        gate = self.excite(F.relu(self.squeeze(y.mean((2, 3)))))
        x = F.max_pool2d(F.relu(x + y * torch.sigmoid(gate).view(-1, 8, 1, 1)), 2)
        return self.fc(F.dropout(x.mean((2, 3)), 0.2, self.training))


class Photos(nn.Module):
    """A network for coloured images of two classes."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.conv, self.norm, self.fc = nn.Conv2d(3, 8, 3, stride=2, bias=False), nn.BatchNorm2d(8), nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(F.relu(self.norm(self.conv(x))).mean((2, 3)))


def raises() -> nn.Module:
    raise ValueError("no")


def needs(width: int) -> nn.Module:
    return nn.Conv2d(1, width, 1)


def text() -> str:
    return "a network"


def digits_error(module: nn.Module) -> float:
    """The share of the validation images that plain torch gets wrong."""
    data = load(DataSettings(seed=0))
    with torch.no_grad():
        answers = module.eval()(normalise(data.validation.images, data)).argmax(1)
    return float((answers != data.validation.labels).double().mean())


def tiny(**changes: Any) -> RunConfig:
    settings = {
        "workers": 0,
        "objectives": ("error", "parameters", "macs"),
        "max_error": 1.0,  # untrained, it is no better than guessing
        "lemonade": {"proposals": 8, "accepted": 2},
        "budget": {"generations": 1, "images_per_child": 320},
    }
    return make_config({**settings, **changes})
