"""The words for what is minimised: objectives and limits."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from hwnas.errors import ConfigError

Notation: TypeAlias = Literal["percent", "count", "tenths", "figures"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """One thing to minimise: its name, how its values are compared and how they are shown.

    ``cheap``: known from the architecture (and the device), without training. ``predicted``: it is predicted before a measurement
    or a training, from the run's own networks, and proposals are steered by that. ``resolution``: values closer than this count
    as equal (DESIGN.md, idea 7), a step of that size or, where ``relative``, that share of the value; 0 compares exactly.
    ``log_scale``: spans orders of magnitude, so that densities look at its logarithm. ``upper_bound``: networks above
    it never enter the front while one within it exists (see ``comparison_row``); None: no bound. ``version``: counts what the
    name has meant; values of two versions are not compared.

    ``title`` is the heading of its column, by default the name, with the ``unit`` ("1": none) behind it; ``text`` is how a value
    is written: as per cent, a count, with one decimal or three significant digits. ``interval``: under which name its half-width
    of a 95 % interval stands. ``shown``: tables have its column where it is no objective of the run, too.
    """

    name: str
    unit: str = "1"
    cheap: bool = False
    predicted: bool = False
    resolution: float = 0.0
    relative: bool = False
    log_scale: bool = False
    upper_bound: float | None = None
    version: int = 1
    title: str = ""
    text: Notation = "figures"
    interval: str | None = None
    shown: bool = False

    def __post_init__(self) -> None:
        if not (self.resolution >= 0 and math.isfinite(self.resolution)):
            raise ConfigError(f"objective {self.name}: resolution must be a finite number of at least 0, got {self.resolution}")

    @property
    def label(self) -> str:
        """The title, or the name as words."""
        return self.title or self.name.replace("_", " ")

    def allows(self, value: float) -> bool:
        """Whether a value is within the upper bound."""
        return self.upper_bound is None or value <= self.upper_bound


DEFAULT_OBJECTIVES = ("error", "parameters", "latency_ms", "expected_change")  # see benchmarks/resilience_proxy.py
USELESS = 1e30  # above every value, and finite, as dominance and its boxes need it


def comparison_row(values: Mapping[str, float], objectives: Sequence[Objective]) -> list[float]:
    """The values (m,) by which a front compares a trained network.

    One above the ``upper_bound`` of an objective is compared by that objective alone and loses to all that are within: the
    front has such a network, one, only while there is none within. Our definition; constrained domination of [Deb2002] is alike.
    """
    over = {o.name for o in objectives if not o.allows(values[o.name])}
    return [values[o.name] if not over or o.name in over else USELESS for o in objectives]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """A hard upper bound on an objective that is known or predicted before a training: what breaks it is never trained.

    ``hwnas.objectives.limit_on`` checks its name.
    """

    objective: str
    maximum: float

    def __post_init__(self) -> None:
        if not self.maximum > 0:
            raise ConfigError(f"the limit on {self.objective} must be above 0, got {self.maximum}")

    def allows(self, value: float) -> bool:
        """Whether a value keeps within the limit."""
        return value <= self.maximum
