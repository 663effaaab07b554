"""A network from outside as it is taken, beside what its source itself computes."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias

import torch
from torch import Tensor, nn

from hwnas.errors import ModelError
from hwnas.graph import Graph
from hwnas.network import Network, State

Normalisation: TypeAlias = tuple[tuple[float, ...], tuple[float, ...]]  # mean and standard deviation of each channel
Answers: TypeAlias = Callable[[Tensor], Tensor]
TOLERANCE = 1e-4  # of max(1, largest logit)
ROUNDINGS = 4.0  # two programs that compute the same differ by a few roundings of the sum that each takes in its own order
MOST_ROUNDING = 1e-2  # of max(1, largest logit): beyond it the logits say more of the rounding than of the image


@dataclass(frozen=True, slots=True, kw_only=True)
class Parity:
    """How far a network's logits are from its source's: the largest ``difference`` on ``images`` images, whose ``largest``
    logit the source gives.

    ``rounding`` is how far the network's logits in float32 are from those of the same network in float64, None where nobody
    needed to know.
    """

    difference: float
    largest: float
    images: int
    rounding: float | None = None

    @property
    def relative(self) -> float:
        """The difference as a share of max(1, largest logit)."""
        return self.difference / max(1.0, self.largest)

    @property
    def is_lost_in_rounding(self) -> bool:
        """Whether the rounding of float32 decides so much of the logits that nothing can be compared by them."""
        return self.rounding is not None and not self.rounding <= MOST_ROUNDING * max(1.0, self.largest)

    def agrees(self, tolerance: float = TOLERANCE) -> bool:
        """Whether the difference is within ``tolerance`` of max(1, largest logit), or is what rounding alone makes of it.

        A network whose activations grow from layer to layer, as an untrained one's may, makes much of a rounding; of a layer
        that was taken wrongly it makes as much more, so that its rounding is the measure. A NaN agrees with nothing.
        """
        rounding = 0.0 if self.rounding is None else self.rounding / max(1.0, self.largest)
        return self.relative <= tolerance or (not self.is_lost_in_rounding and self.relative <= ROUNDINGS * rounding)


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """A network from outside: its graph and state, the source's ``names`` of the graph's tensors, and the ``parity`` of the two.

    ``answers`` gives the source's own logits (n, classes) for images (n, C, H, W), normalised as the graph takes them;
    ``normalisation`` is what they are normalised by, where the source says so. ``module`` is the source where that is a module.
    """

    graph: Graph
    state: State
    names: Mapping[str, str]
    answers: Answers
    parity: Parity
    normalisation: Normalisation | None = None
    module: nn.Module | None = None


def require_agreement(found: Parity, tolerance: float, otherwise: str) -> None:
    """Raise ModelError where a network does not compute what its source computes: ``otherwise``, unless rounding hides it."""
    if found.agrees(tolerance):
        return
    if found.is_lost_in_rounding:
        share = (found.rounding or 0.0) / max(1.0, found.largest)
        raise ModelError(
            f"cannot compare the network with its source: between float32 and float64 its logits change by {share:.2g} of the "
            f"largest, {found.largest:.3g}, as those of untrained networks may; bring trained weights"
        )
    raise ModelError(otherwise)


def parity(graph: Graph, state: State, images: Tensor, expected: Tensor) -> Parity:
    """The difference between a network's logits and those that its source gives; infinite where the shapes differ.

    The network's own rounding is measured where the difference is beyond TOLERANCE, and finite. Raises ModelError where a weight
    is infinite or NaN, with which nothing can be compared.
    """
    if broken := sorted(name for name, tensor in state.items() if not tensor.isfinite().all()):
        raise ModelError(f"expected finite weights, got infinities or NaN (taken as {', '.join(broken)}); bring other weights")
    with torch.no_grad():
        got = Network(graph, state).eval()(images)
    difference = float((expected - got).abs().max()) if expected.shape == got.shape else float("inf")
    found = Parity(difference=difference, largest=float(expected.abs().max()), images=len(images))
    if found.relative <= TOLERANCE or not math.isfinite(difference):
        return found
    with torch.no_grad():
        exact = Network(graph, state).eval().double()(images.double())
    return replace(found, rounding=float((exact - got).abs().max()))


def in_batches(run: Answers, images: Tensor, batch: int | None) -> Tensor:
    """What ``run`` gives for images, ``batch`` at a time (None: all at once); the last images are repeated to fill a batch."""
    size = batch or len(images)
    parts = []
    for start in range(0, len(images), size):
        part = images[start : start + size]
        missing = part[-1:].expand(size - len(part), *part.shape[1:])
        parts.append(run(torch.cat((part, missing)))[: len(part)])
    return torch.cat(parts)
