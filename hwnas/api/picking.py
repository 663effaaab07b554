"""One model out of a front: within limits, by what matters."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hwnas.errors import ConfigError, RequestError, WorkError
from hwnas.objective import Limit, Objective
from hwnas.objectives import OBJECTIVES, limit_on
from hwnas.report import Entry

if TYPE_CHECKING:
    from hwnas.pareto.choosing import Choice


@dataclass(frozen=True, slots=True, kw_only=True)
class Pick:
    """One model out of the front, and why: ``objectives`` name the columns of ``choice``, ``among`` are its rows."""

    entry: Entry
    choice: "Choice"
    objectives: tuple[str, ...]
    among: tuple[str, ...]

    @property
    def reason(self) -> str:
        """Why this model: what it gives up for what, by objective."""
        if len(self.among) == 1:
            return "the only model of the front within the limits."
        parts = [
            f"{name}: {1 - loss:.0%} of the way from the worst to the best (weight {weight:.2g})".replace("%", " %")
            for name, loss, weight in zip(self.objectives, self.choice.losses, self.choice.weights, strict=True)
            if weight > 0
        ]
        second = "" if self.choice.runner_up is None else f"; next best is {self.among[self.choice.runner_up]}"
        choice, limiting = self.choice, self.choice.limiting
        loses = f"most in {self.objectives[limiting]}" if choice.losses[limiting] * choice.weights[limiting] > 0 else "nothing"
        return f"best balance of {len(self.among)} models. {'; '.join(parts)}. It gives up {loses}{second}."


def pick(
    front: Sequence[Entry], objectives: Sequence[Objective], limits: Mapping[str, float], prefer: Mapping[str, float]
) -> Pick:
    """The member of ``front`` within ``limits`` that is the best balance of ``objectives``; see ``Run.pick``."""
    from hwnas.pareto.choosing import choose

    known = {**OBJECTIVES, **{objective.name: objective for objective in objectives}}
    weights = {_objective(name, known): weight for name, weight in prefer.items()}
    if len(weights) < len(prefer):
        raise ConfigError(f"preferences are one weight for each objective, got several for one: {', '.join(prefer)}")
    if any(not 0 <= weight < float("inf") for weight in weights.values()) or (weights and not any(weights.values())):
        raise ConfigError(f"preferences are weights of at least 0, one above 0, such as error=2,latency=1, got {weights}")
    bounds = [limit_on(_objective(name, known), value, objectives) for name, value in limits.items()]
    among = _within(front, bounds)
    names = tuple(dict.fromkeys([*(objective.name for objective in objectives), *weights]))
    choice = choose(
        [[_known(entry, name) for name in names] for entry in among],
        weights=[weights.get(name, 0.0) if weights else 1.0 for name in names],
        log=[known[name].log_scale for name in names],
    )
    ids = tuple(entry.id for entry in among)
    return Pick(entry=among[choice.index], choice=choice, objectives=names, among=ids)


def _objective(name: str, objectives: Mapping[str, Objective]) -> str:
    """The objective of this name; its unit may be left out, as in ``latency``. Raises ConfigError."""
    if name in objectives:
        return name
    matches = [known for known in objectives if known.startswith(f"{name}_") and known.removeprefix(f"{name}_") in ("ms", "kb")]
    if not matches:
        raise ConfigError(f"unknown objective {name}; known are {', '.join(objectives)}")
    return matches[0]


def _known(entry: Entry, name: str) -> float:
    value = entry.value(name)
    if value is None:
        raise RequestError(f"{entry.id} has no {name}: the run did not measure it; leave it out")
    return value


def _within(front: Sequence[Entry], limits: Sequence[Limit]) -> list[Entry]:
    """The members within every limit. Raises WorkError that says how near the front comes."""
    if not front:
        raise WorkError("the run has no trained model yet, so there is none to pick")
    kept = [entry for entry in front if all(limit.allows(_known(entry, limit.objective)) for limit in limits)]
    if not kept:
        wanted = ", ".join(f"{limit.objective} at most {limit.maximum:g}" for limit in limits)
        least = ", ".join(f"{limit.objective} {min(_known(entry, limit.objective) for entry in front):g}" for limit in limits)
        raise WorkError(f"no model of the front has {wanted}; the least on the front is {least}: loosen a limit, or search on")
    return kept
