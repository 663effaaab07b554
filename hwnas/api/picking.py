"""One model out of a front: within limits, by what matters."""

import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hwnas.errors import ConfigError, RequestError, WorkError
from hwnas.objective import Limit, Objective
from hwnas.objectives import known_objectives
from hwnas.report import Entry, knee_of
from hwnas.report.table import text_of

if TYPE_CHECKING:
    from hwnas.pareto.choosing import Choice


@dataclass(frozen=True, slots=True, kw_only=True)
class Pick:
    """One model out of the front, and why: ``objectives`` are the columns of ``choice``, ``among`` the models within the limits.

    ``choice`` is None where the knee was asked for.
    """

    entry: Entry
    choice: "Choice | None"
    objectives: tuple[Objective, ...]
    among: tuple[Entry, ...]

    def __repr__(self) -> str:
        return f"<{self.entry.id}, picked among {len(self.among)} models. {self.reason}>"

    @property
    def runner_up(self) -> Entry | None:
        """The model that is chosen where this one is left out; None where there is no other."""
        others = tuple(entry for entry in self.among if entry.id != self.entry.id)
        if not others:
            return None
        if self.choice is None:
            return knee_of(others, self.objectives)
        return None if self.choice.runner_up is None else self.among[self.choice.runner_up]

    @property
    def shown(self) -> list[Entry]:
        """The model and its runner-up."""
        return [self.entry] if self.runner_up is None else [self.entry, self.runner_up]

    @property
    def names(self) -> dict[str, str]:
        """What those two are called, by their ids."""
        return {entry.id: name for entry, name in zip(self.shown, ("the choice", "runner-up"), strict=False)}

    @property
    def reason(self) -> str:
        """Why this model, and what it is weakest in."""
        if len(self.among) == 1:
            return f"{self.entry.id} is the only model of the front within the limits."
        if self.choice is None:
            return f"{self.entry.id} is the knee of {len(self.among)} models: beyond it a gain in one costs much in the others."
        wanted = [(each, weight) for each, weight in zip(self.objectives, self.choice.weights, strict=True) if weight > 0]
        weighed = ", ".join(f"{each.label} ({weight:.0%})".replace("%", " %") for each, weight in wanted)
        limiting = self.choice.limiting
        weakest = self.objectives[limiting].label
        loses = self.choice.losses[limiting] * self.choice.weights[limiting] > 0
        weak = f"it is weakest in {weakest}" if loses else "no other has a lower value in any of these"
        return f"{self.entry.id} is the best balance of {len(self.among)} models by {weighed}; {weak}."

    @property
    def next_better(self) -> str:
        """In two sentences, what the next better model in each objective would cost: first in the error, then in the others."""
        error, others = self.objectives[:1], self.objectives[1:]
        sentences = []
        for group in (error, others):
            clauses = [clause for objective in group if (clause := self._next_better(objective))]
            best = [objective.label for objective in group if not self._next_better(objective)]
            clauses += [f"no model here has less {' or '.join(best)}"] if best else []
            if clauses:
                sentences.append(f"{'; '.join(clauses)}.")
        return " ".join(sentence[0].upper() + sentence[1:] for sentence in sentences)

    def _next_better(self, objective: Objective) -> str | None:
        here = _known(self.entry, objective.name)
        better = [entry for entry in self.among if _known(entry, objective.name) < here]
        if not better:
            return None
        nearest = max(better, key=lambda entry: (_known(entry, objective.name), entry.id))
        worse = [cost for each in self.objectives if (cost := _cost(self.entry, nearest, each))]
        price = f"costs {', '.join(worse)}" if worse else "costs nothing"
        return f"less {objective.label}: {nearest.id} with {text_of(nearest, objective)} {_unit(objective)}{price}"


def _unit(objective: Objective) -> str:
    return "" if objective.unit == "1" else f"{objective.unit} "


def _cost(here: Entry, there: Entry, objective: Objective) -> str | None:
    """What another model has more of an objective, in words; None where it has no more."""
    now, then = _known(here, objective.name), _known(there, objective.name)
    if then <= now:
        return None
    if objective.text == "percent":
        return f"{100 * (then - now):.2g} points of {objective.label}"
    if now > 0 and math.isfinite(then / now):
        return f"{then / now - 1:+.0%} {objective.label}".replace("%", " %")
    return f"{then - now:.3g} {_unit(objective)}more {objective.label}"


def pick(
    front: Sequence[Entry],
    objectives: Sequence[Objective],
    limits: Mapping[str, float],
    prefer: Mapping[str, float],
    *,
    knee: bool = False,
) -> Pick:
    """The member of ``front`` within ``limits`` that is the best balance of ``objectives``; see ``Run.pick``."""
    known = known_objectives(objectives)
    weights = {full_name(name, known): weight for name, weight in prefer.items()}
    _check(prefer, weights, knee=knee)
    among = within_limits(front, objectives, limits)
    names = tuple(dict.fromkeys(["error", *(objective.name for objective in objectives), *weights]))
    wanted = tuple(known[name] for name in names)
    points = [[_known(entry, name, objectives) for name in names] for entry in among]
    if knee:
        return Pick(entry=knee_of(among, objectives), choice=None, objectives=wanted, among=among)
    from hwnas.pareto.choosing import choose

    choice = choose(
        points,
        weights=[weights.get(name, 0.0) if weights else 1.0 for name in names],
        log=[objective.log_scale for objective in wanted],
    )
    return Pick(entry=among[choice.index], choice=choice, objectives=wanted, among=among)


def _check(prefer: Mapping[str, float], weights: Mapping[str, float], *, knee: bool) -> None:
    """Raise ConfigError for preferences that cannot be."""
    if wrong := [name for name, weight in weights.items() if isinstance(weight, bool) or not isinstance(weight, int | float)]:
        raise ConfigError(f"the weight of {wrong[0]} must be a number, got {weights[wrong[0]]!r}")
    if knee and prefer:
        raise ConfigError("the knee weighs all objectives alike; ask for it, or for preferences")
    if len(weights) < len(prefer):
        raise ConfigError(f"preferences are one weight for each objective, got several for one: {', '.join(prefer)}")
    if any(not 0 <= weight < float("inf") for weight in weights.values()) or (weights and not any(weights.values())):
        raise ConfigError(f"preferences are weights of at least 0, one above 0, such as error=2,latency=1, got {dict(weights)}")


def full_name(name: str, objectives: Mapping[str, Objective]) -> str:
    """The objective of this name; its unit may be left out, as in ``latency``. Raises ConfigError."""
    if name in objectives:
        return name
    matches = [known for known in objectives if known.startswith(f"{name}_") and known.removeprefix(f"{name}_") in ("ms", "kb")]
    if not matches:
        raise ConfigError(f"unknown objective {name!r}; known are {', '.join(objectives)}")
    return matches[0]


def _known(entry: Entry, name: str, objectives: Sequence[Objective] = ()) -> float:
    value = entry.value(name)
    if value is None:
        own = ", ".join(objective.name for objective in objectives)
        raise RequestError(f"{entry.id} has no {name}: the run did not measure it; leave it out (the run's objectives are {own})")
    return value


def within_limits(front: Sequence[Entry], objectives: Sequence[Objective], stated: Mapping[str, float]) -> tuple[Entry, ...]:
    """The members within every limit, a value by objective. Raises ConfigError for names and numbers that cannot be, WorkError
    that says how near the front comes."""
    if not front:
        raise WorkError("the run has no trained model yet, so there is none to pick")
    if wrong := [name for name, value in stated.items() if isinstance(value, bool) or not isinstance(value, int | float)]:
        raise ConfigError(f"the limit on {wrong[0]} must be a number, got {stated[wrong[0]]!r}")
    known = known_objectives(objectives)
    limits = [Limit(objective=full_name(name, known), maximum=value) for name, value in stated.items()]
    names = {limit.objective for limit in limits}
    values = {entry.id: {name: _known(entry, name, objectives) for name in names} for entry in front}
    kept = tuple(entry for entry in front if all(limit.allows(values[entry.id][limit.objective]) for limit in limits))
    if not kept:
        wanted = ", ".join(f"{limit.objective} at most {limit.maximum:g}" for limit in limits)
        least = ", ".join(f"{limit.objective} {min(found[limit.objective] for found in values.values()):g}" for limit in limits)
        raise WorkError(f"no model of the front has {wanted}; the least on the front is {least}: loosen a limit, or search on")
    return kept


def chosen(rows: Sequence[Entry], models: str | Sequence[str], folder: Path) -> list[Entry]:
    """The networks of a run that are meant: ``"front"``, an id or several. Raises RequestError for an unknown id, WorkError where
    nothing is trained yet."""
    known = {entry.id: entry for entry in rows}
    front = [entry for entry in known.values() if entry.on_front]
    if not front:
        raise WorkError(f"{folder} has no trained model yet")
    if models == "front":
        return front
    ids = [models] if isinstance(models, str) else list(dict.fromkeys(models))
    unknown = [candidate_id for candidate_id in ids if candidate_id not in known]
    if unknown:
        named = ", ".join(map(shlex.quote, unknown))  # an empty name, too
        raise RequestError(f"no model {named} in {folder}; see: hwnas front {folder} --all")
    return [known[candidate_id] for candidate_id in ids]
