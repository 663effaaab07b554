"""The most accurate network of each band of latency or size: for those who ship one network for each class of devices."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hwnas.api.picking import full_name, within_limits
from hwnas.errors import ConfigError, WorkError
from hwnas.objective import Objective
from hwnas.objectives import known_objectives
from hwnas.report import Entry

MOST_BANDS = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """Values of an objective up to ``high``, in its unit, beyond those of the band below, and the most accurate network there."""

    objective: Objective
    high: float
    entry: Entry

    def __repr__(self) -> str:
        return f"<{self.objective.label} {self.title}: {self.entry.id}>"

    @property
    def title(self) -> str:
        """Up to which value it goes."""
        high = f"{self.high:,.0f}" if self.high >= 100 else f"{self.high:.3g}"
        return f"up to {high}" if self.objective.unit == "1" else f"up to {high} {self.objective.unit}"


def bands(front: Sequence[Entry], by: Objective, count: int) -> list[Band]:
    """Up to ``count`` bands, equally wide on a logarithmic scale from the least to the largest value on the front.

    A band is left out where no network of it is more accurate than those of the bands below: nobody would ship a network that is
    slower and no better. Our definition. Raises ConfigError for a count that cannot be, WorkError where a value is not known.
    """
    if not 1 <= count <= MOST_BANDS:
        raise ConfigError(f"bands are from 1 to {MOST_BANDS}, got {count}")
    values = [(value, entry) for entry in front if (value := entry.value(by.name)) is not None and value > 0]
    if not values or len(values) < len(front):
        raise WorkError(f"bands need the {by.label} of every network of the front, above 0: choose another objective with --by")
    low, high = min(value for value, _ in values), max(value for value, _ in values)
    found: list[Band] = []
    for place in range(1, count + 1):
        end = min(high, low * (high / low) ** (place / count) * (1 + 1e-9))  # a value on an edge belongs to the band below
        _, _, _, best = min((_error(entry), value, entry.id, entry) for value, entry in values if value <= end)
        if not found or _error(best) < _error(found[-1].entry):
            found.append(Band(objective=by, high=end, entry=best))
    return found


def bands_of(
    front: Sequence[Entry], objectives: Sequence[Objective], count: int, *, by: str | None, limits: Mapping[str, float]
) -> list[Band]:
    """The bands of what is within ``limits`` of a front, by an objective's name; None: latency where the run has it, else
    parameters."""
    known, own = known_objectives(objectives), {objective.name for objective in objectives}
    name = full_name(by or ("latency_ms" if "latency_ms" in own else "parameters"), known)
    return bands(within_limits(front, objectives, limits), known[name], count)


def _error(entry: Entry) -> float:
    error = entry.value("error")
    assert error is not None
    return error
