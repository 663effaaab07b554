"""What a reader of a front looks at first: three networks with names, and a dozen that stand for all."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from hwnas.objective import Objective
from hwnas.pareto.thinning import knee, thinned
from hwnas.report.entry import Entry

Name: TypeAlias = Literal["small", "balanced", "accurate"]
SMALL_WITHIN = 0.05  # of the least error: five points more are the most that a small network may cost
MOST = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Suggestion:
    """A network of the front with the name by which a reader looks for it, and why it has that name."""

    name: Name
    entry: Entry
    why: str


def suggestions(front: Sequence[Entry], objectives: Sequence[Objective]) -> tuple[Suggestion, ...]:
    """Three networks of a front, which may be the same ones: small, balanced and accurate; none of an empty front.

    Our definition: *accurate* has the least validation error; *balanced* is the knee of the front; *small* has the fewest
    parameters of those within five points of the least error.
    """
    if not front:
        return ()
    accurate = min(front, key=lambda entry: (_needed(entry, "error"), _needed(entry, "parameters")))
    most = _needed(accurate, "error") + SMALL_WITHIN
    small = min(
        (entry for entry in front if _needed(entry, "error") <= most),
        key=lambda entry: (_needed(entry, "parameters"), _needed(entry, "error")),
    )
    points = SMALL_WITHIN * 100
    return (
        Suggestion(name="small", entry=small, why=f"the fewest parameters within {points:g} points of the least error"),
        Suggestion(name="balanced", entry=knee_of(front, objectives), why="the knee: beyond it a gain in one costs a lot"),
        Suggestion(name="accurate", entry=accurate, why="the least validation error"),
    )


def names_of(found: Sequence[Suggestion]) -> dict[str, str]:
    """What each suggested network is called, by its id: all of its names; that of the knee is balanced."""
    names: dict[str, list[str]] = {}
    for each in found:
        names.setdefault(each.entry.id, []).append(each.name)
    return {member: ", ".join(given) for member, given in names.items()}


def knee_of(front: Sequence[Entry], objectives: Sequence[Objective]) -> Entry:
    """The knee of a front that has a network at least: of its error against all that it costs."""
    return front[knee(_points(front, objectives), log=_log(objectives))]


def thinned_front(front: Sequence[Entry], objectives: Sequence[Objective], most: int = MOST) -> list[Entry]:
    """At most ``most`` networks that stand for the front, in its order: those suggested, the best in each objective and others
    far from them."""
    if len(front) <= most:
        return list(front)
    places = {entry.id: place for place, entry in enumerate(front)}
    named = [places[each.entry.id] for each in suggestions(front, objectives)]
    return [front[place] for place in thinned(_points(front, objectives), most, log=_log(objectives), among=named)]


def _points(front: Sequence[Entry], objectives: Sequence[Objective]) -> list[list[float]]:
    return [[_needed(entry, objective.name) for objective in _error_first(objectives)] for entry in front]


def _log(objectives: Sequence[Objective]) -> list[bool]:
    return [objective.log_scale for objective in _error_first(objectives)]


def _error_first(objectives: Sequence[Objective]) -> list[Objective]:
    return sorted(objectives, key=lambda objective: objective.name != "error")


def _needed(entry: Entry, name: str) -> float:
    value = entry.value(name)
    return entry.row.needed(name) if value is None else value
