"""Where a training stands between two of its parts: all that going on needs, beside the network's own tensors."""

from dataclasses import dataclass
from typing import Self

import torch
from torch import Generator, Tensor

from hwnas.errors import StoreError
from hwnas.network import Network, State

_STEPS, _STREAM = "steps", "stream"


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A training after ``steps`` steps.

    ``stream`` is the state that the random stream began the training with: the steps before are drawn again, which shuffles
    and augments as before. ``optimiser`` holds what the optimiser remembers, ``"<tensor>.<name>"``.
    """

    steps: int
    stream: Tensor
    optimiser: State

    @classmethod
    def of(cls, network: Network, optimiser: torch.optim.Optimizer, stream: Tensor, steps: int) -> Self:
        """A copy of what the optimiser remembers of the network's tensors."""
        remembered = {
            f"{name}.{key}": value.detach().clone(memory_format=torch.contiguous_format)
            for name, parameter in network.named_parameters()
            for key, value in optimiser.state[parameter].items()
            if value is not None  # a momentum of 0 leaves no buffer
        }
        return cls(steps=steps, stream=stream, optimiser=remembered)

    def restore(self, network: Network, optimiser: torch.optim.Optimizer, generator: Generator) -> None:
        """Put a new optimiser of the network, and the random stream, back where they were.

        Raises StoreError where the checkpoint is that of another network.
        """
        generator.set_state(self.stream)
        parameters = dict(network.named_parameters())
        for name, value in self.optimiser.items():
            owner, _, key = name.rpartition(".")
            parameter = parameters.get(owner)
            if parameter is None or value.shape not in (parameter.shape, torch.Size()):
                raise StoreError(f"the checkpoint does not fit the network: {name} of shape {tuple(value.shape)} is not in it")
            # In the layout of the parameter: a fused optimiser takes no other.
            like = parameter if value.shape == parameter.shape else value
            optimiser.state[parameter][key] = torch.empty_like(like, device=parameter.device).copy_(value)

    def state(self) -> State:
        """The checkpoint as one mapping of named tensors."""
        steps = torch.tensor(self.steps)
        return {_STEPS: steps, _STREAM: self.stream, **{f"optimiser.{name}": value for name, value in self.optimiser.items()}}

    @classmethod
    def from_state(cls, state: State) -> Self:
        """The checkpoint that ``state`` gave. Raises StoreError where these are other tensors."""
        optimiser = {name.removeprefix("optimiser."): value for name, value in state.items() if name.startswith("optimiser.")}
        if state.keys() - {f"optimiser.{name}" for name in optimiser} != {_STEPS, _STREAM}:
            raise StoreError(f"expected the tensors of a checkpoint, got {', '.join(sorted(state)) or 'none'}")
        return cls(steps=int(state[_STEPS]), stream=state[_STREAM], optimiser=optimiser)
