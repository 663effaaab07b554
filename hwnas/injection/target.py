"""What a campaign runs on: a network in one format, whose words can be changed and which then answers for images."""

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from hwnas.deployed.memory import Change, Memory
from hwnas.deployed.program import Program
from hwnas.deployed.protection import Share, layer_shares, map_shares
from hwnas.injection.bit_errors import Masks
from hwnas.injection.identity import program_sha256
from hwnas.injection.predictions import Classes, Predictions
from hwnas.injection.simulator import FastSimulator, Upset
from hwnas.resilience import LOG8, Population
from hwnas.resilience.formats import Values

Images = NDArray[np.float32]


class FaultSimulator(Protocol):
    """A network before one micro-batch of images."""

    @property
    def classes(self) -> Classes:
        """The clean answers."""
        ...

    def weights(self, changes: Sequence[Change]) -> Predictions:
        """The answers with these words in memory."""
        ...

    def stored(self, step: int) -> Values:
        """The words of a stored tensor in the clean pass, (n, elements)."""
        ...

    def activations(self, step: int, upsets: Sequence[Upset]) -> Predictions:
        """The answers with these bits of one stored tensor flipped."""
        ...

    def disturbed(self, masks: Masks) -> Predictions:
        """The answers with bits flipped in many stored tensors."""
        ...


class FaultTarget(Protocol):
    """A network that can be faulted; ``costs`` is what a fault costs to compute by layer, 1 for a full pass.

    ``function_sha256``: hash of what it computes, whatever words its memory holds.
    """

    memory: Memory
    function_sha256: str
    activations: Population
    costs: Mapping[str, float]
    classes: int
    shape: tuple[int, ...]

    def engine(self, images: Images) -> FaultSimulator:
        """An engine for images (n, C, H, W) in [0, 1]."""
        ...

    def expected_shares(self, images: Images, *, weights: bool) -> tuple[Share, ...]:
        """Where flips are expected to do harm, in weights or feature maps; nothing where gradients are not known."""
        ...


class TorchTarget:
    """A float network computed by torch."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self.memory, self.activations = program.memory, program.activations
        self.function_sha256 = program_sha256(program)
        self.classes = program.graph.classes
        self.shape = program.graph.shapes[program.graph.input.id]
        self.costs: Mapping[str, float] = suffix_costs(program)

    def engine(self, images: Images) -> FaultSimulator:
        """A fast engine."""
        return FastSimulator(self._program, torch.from_numpy(np.ascontiguousarray(images)))

    def expected_shares(self, images: Images, *, weights: bool) -> tuple[Share, ...]:
        """To first order, from the network's gradients; nothing for log8, whose words are scaled."""
        if self._program.layout is LOG8:
            return ()
        shares = layer_shares if weights else map_shares
        return shares(self._program, torch.from_numpy(np.ascontiguousarray(images)), self._program.layout)


def suffix_costs(program: Program) -> dict[str, float]:
    """Share of a full pass's multiply-adds behind each layer, itself included, and a twentieth for what each fault costs.

    Counted, not timed: so a campaign that is run again draws the same faults.
    """
    total = max(1, sum(step.macs for step in program.steps))
    costs = {}
    for number, step in enumerate(program.steps):
        reached = {number}
        for later, other in enumerate(program.steps):
            if any(source in reached for source in other.reads):
                reached.add(later)
        costs[step.layer] = 0.05 + sum(program.steps[place].macs for place in reached) / total
    return costs
