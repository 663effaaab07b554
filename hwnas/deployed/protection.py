"""What to protect first: the share that each part of a network has in what flips are expected to do (our definition).

A share is a part's S(x) (see ``expected_change``), averaged over images, of the sum of all parts': where one flipped bit, drawn
uniformly over all bits, is expected to do its harm.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from hwnas.deployed.expected_change import activation_parts, weight_parts
from hwnas.deployed.program import Program
from hwnas.resilience import Format

IMAGES = 32  # shares settle sooner than the value itself: between two sets of so many they agree within some points


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """The share in [0, 1] of the stored tensor ``tensor``, a feature map or the weights and biases of a ``layer``."""

    tensor: str
    layer: str
    share: float


def map_shares(program: Program, images: Tensor, layout: Format) -> tuple[Share, ...]:
    """The shares of the stored feature maps, in ``layout``, largest first; ``images`` (n, C, H, W) in [0, 1]."""
    layers = {step.name: step.layer for step in program.steps}
    return _shares({name: float(part.mean()) for name, part in activation_parts(program, _some(images), layout).items()}, layers)


def layer_shares(program: Program, images: Tensor, layout: Format) -> tuple[Share, ...]:
    """The shares of the layers' weights and biases together, in ``layout``, largest first."""
    found: dict[str, float] = {}
    layers: dict[str, str] = {}
    for name, part in weight_parts(program, _some(images), layout).items():
        step = program.steps[program.owner[name]]
        found[step.name] = found.get(step.name, 0.0) + float(part.mean())
        layers[step.name] = step.layer
    return _shares(found, layers)


def _some(images: Tensor) -> Tensor:
    return images[torch.linspace(0, len(images) - 1, min(IMAGES, len(images))).long()]


def _shares(found: Mapping[str, float], layers: Mapping[str, str]) -> tuple[Share, ...]:
    total = sum(found.values()) or 1.0
    shares = [Share(tensor=name, layer=layers[name], share=value / total) for name, value in found.items()]
    return tuple(sorted(shares, key=lambda each: each.share, reverse=True))
