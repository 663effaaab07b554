"""The words for what is minimised: objectives and limits."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hwnas.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """One thing to minimise.

    ``cheap``: known from the architecture (and the device), without training. ``resolution``: values closer than this count as
    equal (DESIGN.md, idea 7), a step of that size or, where ``relative``, that share of the value; 0 compares exactly.
    ``size_like``: spans orders of magnitude, so that densities look at its logarithm. ``most``: above it a network is of no use,
    whatever else it is good at (see ``compared``); None: none is. ``definition``: counts what the name has meant; values of two
    definitions are not compared.
    """

    name: str
    unit: str
    cheap: bool
    resolution: float = 0.0
    relative: bool = False
    size_like: bool = False
    most: float | None = None
    definition: int = 1

    def __post_init__(self) -> None:
        if not (self.resolution >= 0 and math.isfinite(self.resolution)):
            raise ConfigError(f"objective {self.name}: resolution must be a finite number of at least 0, got {self.resolution}")

    def allows(self, value: float) -> bool:
        """Whether a network with this value may be of use."""
        return self.most is None or value <= self.most


# Resolutions: latency twice the 5 % half-width a search aims at; the indices 0.25, or wide networks that are worse in
# everything else flood the front (DESIGN.md, idea 7).
OBJECTIVES: Mapping[str, Objective] = {
    objective.name: objective
    for objective in (
        Objective(name="error", unit="share of images", cheap=False),
        Objective(name="parameters", unit="1", cheap=True, size_like=True),
        Objective(name="latency_ms", unit="ms", cheap=True, size_like=True, resolution=0.1, relative=True),
        Objective(name="sensitivity", unit="1", cheap=True, size_like=True, resolution=0.25, relative=True),
        Objective(name="sensitivity_mean", unit="1", cheap=True, size_like=True, resolution=0.25, relative=True),
        Objective(name="sensitivity_max", unit="1", cheap=True, size_like=True, resolution=0.25, relative=True),
        Objective(
            name="expected_change", unit="1", cheap=False, size_like=True, resolution=0.25, relative=True, definition=2
        ),
        Objective(name="adcr", unit="1", cheap=True, size_like=True, resolution=0.1, relative=True),
        Objective(name="macs", unit="1", cheap=True, size_like=True),
        Objective(name="memory_kb", unit="kB", cheap=True, size_like=True),
    )
}
USELESS = 1e30  # above every value, and finite, as dominance and its boxes need it


def objectives_named(names: tuple[str, ...], max_error: float | None = None) -> tuple[Objective, ...]:
    """The objectives of these names, the error of use up to ``max_error``.

    Raises ConfigError on an unknown name, a name given twice, or where error is missing.
    """
    unknown = [name for name in names if name not in OBJECTIVES]
    if unknown:
        raise ConfigError(f"unknown objective {', '.join(unknown)}; known are {', '.join(OBJECTIVES)}")
    if len(set(names)) != len(names) or "error" not in names or len(names) < 2:
        raise ConfigError(f"objectives must be error and at least one other, each once, got {', '.join(names) or 'none'}")
    known = {**OBJECTIVES, "error": dataclasses.replace(OBJECTIVES["error"], most=max_error)}
    return tuple(known[name] for name in names)


def compared(values: Mapping[str, float], objectives: Sequence[Objective]) -> list[float]:
    """The values (m,) by which a front compares a trained network.

    One above the ``most`` of an objective is compared by that objective alone and loses to all that are within: the front has
    such a network, one, only while there is none of use. Our definition; constrained domination of [Deb2002] is alike.
    """
    over = {o.name for o in objectives if not o.allows(values[o.name])}
    return [values[o.name] if not over or o.name in over else USELESS for o in objectives]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """A hard upper bound on a cheap objective: what breaks it is never trained."""

    objective: str
    maximum: float

    def __post_init__(self) -> None:
        known = OBJECTIVES.get(self.objective)
        if known is None or not known.cheap:
            cheap = ", ".join(name for name, objective in OBJECTIVES.items() if objective.cheap)
            raise ConfigError(f"a limit is set on a cheap objective ({cheap}), got {self.objective}")
        if not self.maximum > 0:
            raise ConfigError(f"the limit on {self.objective} must be above 0, got {self.maximum}")

    def allows(self, value: float) -> bool:
        """Whether a value keeps within the limit."""
        return value <= self.maximum
