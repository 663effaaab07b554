"""Which training settings are searched together with the networks: settings only."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from pydantic import ConfigDict

from hwnas.errors import ConfigError

TUNABLE = ("learning_rate", "weight_decay", "label_smoothing", "augmentation")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuning:
    """Joint search of networks and how they are trained.

    enabled: every candidate has training settings of its own, changed at random with it and inherited by its children.
    settings: which, of learning_rate, weight_decay, label_smoothing and augmentation (how strong: a factor).
    begin: the values that the search begins with, by name, in place of those that suit the data.
    step: standard deviation of the logarithm by which a child's differ from its parent's; initial networks differ by three.

    Raises ConfigError.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    enabled: bool = False
    settings: tuple[str, ...] = TUNABLE
    begin: Mapping[str, float] = field(default_factory=dict)
    step: float = 0.4

    def __post_init__(self) -> None:
        for name in (*self.settings, *self.begin):
            if name not in TUNABLE:
                raise ConfigError(f"cannot tune {name!r}; what can be tuned are {', '.join(TUNABLE)}")
        if not self.settings or len(set(self.settings)) < len(self.settings):
            raise ConfigError(f"expected settings to tune, each once, got {list(self.settings)}")
        if not 0 < self.step < math.inf or not all(0 <= value < math.inf for value in self.begin.values()):
            raise ConfigError(f"step must be above 0 and what tuning begins with at least 0, got {self.step}, {dict(self.begin)}")
