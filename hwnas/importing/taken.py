"""A network from outside as it is taken, beside what its source itself computes."""

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


ROUNDINGS, UNSTABLE = 4.0, 0.05
COMPARED_FROM = 1e-5  # relative difference, from which the network's own rounding is asked for


@dataclass(frozen=True, slots=True, kw_only=True)
class Parity:
    """How far a network's logits are from its source's: the largest ``difference`` on ``images`` images, whose ``largest``
    logit the source gives. ``rounding``: the largest difference of its own logits in float32 and in float64, where the two were
    compared, else 0."""

    difference: float
    largest: float
    images: int
    rounding: float = 0.0

    @property
    def relative(self) -> float:
        """The difference as a share of max(1, largest logit)."""
        return self.difference / max(1.0, self.largest)

    def is_within(self, tolerance: float) -> bool:
        """Whether the relative difference is within a tolerance, or no larger than rounding explains (our definition).

        The source rounds in another order than the network, so a few times the network's own rounding is allowed, up to 5 %: deep
        networks with untrained weights need that.
        """
        explained = min(ROUNDINGS * self.rounding / max(1.0, self.largest), UNSTABLE)
        return self.relative <= max(tolerance, explained)


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


def parity(graph: Graph, state: State, images: Tensor, expected: Tensor) -> Parity:
    """The difference between a network's logits and those that its source gives; infinite where the shapes differ.

    Raises ModelError where a weight is infinite or NaN, with which nothing can be compared.
    """
    if broken := sorted(name for name, tensor in state.items() if not tensor.isfinite().all()):
        raise ModelError(f"expected finite weights, got infinities or NaN (taken as {', '.join(broken)}); bring other weights")
    network = Network(graph, state).eval()
    with torch.no_grad():
        got = network(images)
        difference = float((expected - got).abs().max()) if expected.shape == got.shape else float("inf")
        found = Parity(difference=difference, largest=float(expected.abs().max()), images=len(images))
        if found.relative <= COMPARED_FROM:
            return found
        return replace(found, rounding=float((network.double()(images.double()) - got).abs().max()))


def in_batches(run: Answers, images: Tensor, batch: int | None) -> Tensor:
    """What ``run`` gives for images, ``batch`` at a time (None: all at once); the last images are repeated to fill a batch."""
    size = batch or len(images)
    parts = []
    for start in range(0, len(images), size):
        part = images[start : start + size]
        missing = part[-1:].expand(size - len(part), *part.shape[1:])
        parts.append(run(torch.cat((part, missing)))[: len(part)])
    return torch.cat(parts)
