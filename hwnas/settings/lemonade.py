"""The sizes and ablations of the search strategy LEMONADE: settings only."""

from dataclasses import dataclass
from typing import Literal

from pydantic import ConfigDict

from hwnas.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class LemonadeSettings:
    """Sizes of a generation. ``density`` uniform and ``inherit`` false (children from scratch) are ablations, as the paper has
    them (from memory). ``bound_activations``, against bit flips: that operator is among those drawn, and the search begins with
    bounded initial networks, too."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    proposals: int = 64
    accepted: int = 8
    max_operators: int = 3
    density: Literal["kernel", "uniform"] = "kernel"
    inherit: bool = True
    bound_activations: bool = False

    def __post_init__(self) -> None:
        if min(self.proposals, self.accepted, self.max_operators) < 1 or self.accepted > self.proposals:
            raise ConfigError(
                "lemonade needs at least 1 proposal, 1 accepted child (no more than the proposals) and 1 operator, got "
                f"proposals={self.proposals}, accepted={self.accepted}, max_operators={self.max_operators}"
            )
