"""The moving average of a network's tensors, which is often better than the tensors themselves [Polyak1992]."""

import torch
from torch import Tensor

from hwnas.network import Network, State

EVERY = 4  # steps between two updates: a step of a tiny network takes hardly longer than an update


class MovingAverage:
    """An exponential moving average of every tensor of a network, the statistics of its batch norms included.

    Its ``n``-th update keeps min(decay, (1 + n) / (10 + n)) of what was there, so that a young average forgets how it began (as
    TensorFlow's ExponentialMovingAverage does).
    """

    def __init__(self, network: Network, decay: float) -> None:
        self._network = network
        self._decay = decay
        self._tensors: State = {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}

    def state(self) -> State:
        """The averaged tensors by their names in the network; they go on changing."""
        return self._tensors

    @torch.no_grad()
    def restore(self, state: State) -> None:
        """Put the average back to what ``state`` gave."""
        for name, tensor in self._tensors.items():
            tensor.copy_(state[name])

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take the network in as it is after step ``step`` (from 1)."""
        if step % EVERY:
            return
        count = step // EVERY
        kept = min(self._decay**EVERY, (1 + count) / (10 + count))
        newest: list[Tensor] = list(self._network.state_dict().values())
        torch._foreach_lerp_(list(self._tensors.values()), newest, 1 - kept)
