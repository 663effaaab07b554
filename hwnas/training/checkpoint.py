"""Where a training stands between two of its parts: all that continuing needs, beside the network's own tensors."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Self

import torch
from torch import Tensor

from hwnas.data import Place
from hwnas.errors import StoreError
from hwnas.network import Network, State
from hwnas.training.curve import curve_of, curve_tensor
from hwnas.training.schedule import Pace
from hwnas.training.watching import Watched

_GROUPS = ("optimiser", "average", "best")
_SINGLE = ("steps", "pace", "batch", "stream", "order", "curve", "losses", "best_at", "best_score")


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A training after ``steps`` steps.

    ``place`` is where the drawing of its batches stood before the stretch that holds the next one: that stretch is drawn again,
    which shuffles and augments as before. ``pace`` is that of its learning-rate schedule. ``optimiser`` holds what the optimiser
    remembers, ``"<tensor>.<name>"``, ``watched`` what is known of the training so far.
    """

    steps: int
    pace: Pace
    place: Place
    optimiser: State
    watched: Watched = field(default_factory=Watched)

    @classmethod
    def of(
        cls, network: Network, optimiser: torch.optim.Optimizer, *, steps: int, pace: Pace, place: Place, watched: Watched
    ) -> Self:
        """A copy, on the CPU, of what the optimiser remembers of the network's tensors."""
        remembered = {
            f"{name}.{key}": value.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)
            for name, parameter in network.named_parameters()
            for key, value in optimiser.state[parameter].items()
            if value is not None  # a momentum of 0 leaves no buffer
        }
        return cls(steps=steps, pace=pace, place=place, optimiser=remembered, watched=watched)

    def restore(self, network: Network, optimiser: torch.optim.Optimizer) -> None:
        """Put a new optimiser of the network back where it was. Raises StoreError where the checkpoint is of another network."""
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
        watched = self.watched
        single: tuple[Tensor, ...] = (
            torch.tensor(self.steps),
            torch.tensor((self.pace.steps, self.pace.since, self.pace.share), dtype=torch.float64),
            torch.tensor(self.place.batch),
            self.place.stream,
            self.place.order,
            curve_tensor(watched.curve),
            torch.tensor(watched.losses, dtype=torch.float64),
            torch.tensor(watched.best_at),
            torch.tensor(watched.best_score, dtype=torch.float64),
        )
        groups = (self.optimiser, watched.average, watched.best)
        named = {
            f"{group}.{name}": value.cpu().contiguous()
            for group, state in zip(_GROUPS, groups, strict=True)
            for name, value in state.items()
        }
        return dict(zip(_SINGLE, (tensor.clone() for tensor in single), strict=True)) | named

    @classmethod
    def from_state(cls, state: State) -> Self:
        """The checkpoint that ``state`` gave. Raises StoreError where these are other tensors."""
        optimiser, average, best = (dict(_of_group(state, group)) for group in _GROUPS)
        if state.keys() - {name for name in state if name.partition(".")[0] in _GROUPS} != set(_SINGLE):
            raise StoreError(f"expected the tensors of a checkpoint, got {', '.join(sorted(state)) or 'none'}")
        error, loss = state["best_score"].tolist()
        watched = Watched(
            curve=curve_of(state["curve"]),
            losses=tuple(state["losses"].tolist()),
            average=average,
            best=best,
            best_at=int(state["best_at"]),
            best_score=(error, loss),
        )
        place = Place(batch=int(state["batch"]), stream=state["stream"], order=state["order"])
        total, since, share = state["pace"].tolist()
        pace = Pace(steps=int(total), since=int(since), share=share)
        return cls(steps=int(state["steps"]), pace=pace, place=place, optimiser=optimiser, watched=watched)


def _of_group(state: State, group: str) -> Iterable[tuple[str, Tensor]]:
    """The tensors of a group, under their own names."""
    return ((name.removeprefix(f"{group}."), value) for name, value in state.items() if name.startswith(f"{group}."))
