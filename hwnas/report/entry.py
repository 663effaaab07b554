"""A candidate as a user reads it, and the front as it follows from what is stored."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from hwnas.objective import Objective
from hwnas.objectives import OBJECTIVES
from hwnas.search.front import front_of
from hwnas.store import Row

_WHOLE_NUMBERS = ("parameters", "macs")
STATUSES = {  # in words, for people; JSON and CSV keep the names
    "finished": "not on the front",
    "infeasible": "over a limit",
    "unfinished": "not trained in time",
    "stopped_early": "stopped early",
    "unvalidated": "on all images",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A candidate that came to an end, whether it is on the front, and the names of objectives that only its run has."""

    row: Row
    on_front: bool
    own: tuple[str, ...] = ()

    def __repr__(self) -> str:
        known = (("error", "{:.2%} error"), ("parameters", "{:,.0f} parameters"), ("latency_ms", "{:.3g} ms"))
        parts = [text.format(value) for name, text in known if (value := self.value(name)) is not None]
        standing = "on the front" if self.on_front else STATUSES.get(self.status, self.status)
        return f"<network {self.id}, {standing}: {', '.join(parts)}>"

    @property
    def id(self) -> str:
        """``g<generation>-<slot>``; ``t<number>-<slot>`` where it was trained to the end."""
        return self.row.id

    @property
    def status(self) -> str:
        """``finished``, ``failed``, ``infeasible``, ``unfinished`` ``stopped_early`` or ``unvalidated``."""
        return self.row.outcome.status if self.row.outcome else "unfinished"

    @property
    def is_trained(self) -> bool:
        """Whether it was trained to the end, not as briefly as a search does."""
        return self.row.is_trained

    @property
    def tuned(self) -> str:
        """The training settings that it carries, in words; empty where all of a run are trained alike."""
        values = {name: value for name, value in self.row.training.items() if isinstance(value, float)}
        return ", ".join(f"{name.replace('_', ' ')} {value:.3g}" for name, value in values.items())

    @property
    def failure(self) -> str | None:
        """Why it failed."""
        failure = self.row.outcome.failure if self.row.outcome else None
        return None if failure is None else f"{failure.kind}: {failure.message}"

    def value(self, name: str) -> float | None:
        """The best that is known of a value: measured after the search, else as the search saw it; None where it is not known.

        Of what was never trained the sizes are known; what was only predicted (a latency, an expected change) is not given.
        """
        for known in (self.row.final, self.row.values):
            if name in known:
                return known[name]
        return None if name in OBJECTIVES and OBJECTIVES[name].predicted else self.row.cheap.get(name)

    def curve(self) -> list[dict[str, float | None]]:
        """Its learning curve: images shown, mean training loss in nats since the point before, validation error where known."""
        points = self.row.outcome.curve if self.row.outcome else ()
        return [{"images": point.images, "loss": point.loss, "error": point.error} for point in points]

    def to_json(self) -> dict[str, str | float | bool | None]:
        """The entry as one flat object; errors are shares in [0, 1], times ms, memory kB, None what is not known.

        ``images`` were seen in training when the validation error was taken: fewer where the training was stopped early.
        """
        sizes: dict[str, float | None] = {}
        for name in _WHOLE_NUMBERS:
            size = self.value(name)
            sizes[name] = None if size is None else int(size)
        return {
            "id": self.id,
            **{name: self.value(name) for name in ("error", "error_low", "error_high", "test_error", "images")},
            **sizes,
            **{name: self.value(name) for name in ("memory_kb", "latency_ms", "latency_ci_ms")},
            "search_latency_ms": self.row.values.get("latency_ms"),
            "search_latency_ci_ms": self.row.values.get("latency_ci_ms"),
            **{name: self.value(name) for name in ("sensitivity", "sensitivity_mean", "sensitivity_max", "adcr")},
            **{name: self.value(name) for name in ("expected_change", "peak_memory_kb", *self.own)},
            "parent": self.row.parent,
            "operator": self.row.operator,
            **{f"tuned_{name}": value for name, value in self.row.training.items()},
            "generation": None if self.is_trained else self.row.generation,
            "trained_to_the_end": self.is_trained,
            "status": self.status,
            "front": self.on_front,
            "failure": self.failure,
            "architecture_id": self.row.architecture_id,
        }


def entries(rows: Iterable[Row], objectives: Sequence[Objective]) -> list[Entry]:
    """Every candidate that has an outcome: the front first, best error first, then the others in the order of their ids.

    The front is that of the search: values as it saw them, compared with the objectives' resolutions (DESIGN.md, idea 7).
    """
    ended = {row.id: row for row in rows if row.outcome is not None}
    members = front_of([row.outcome for row in ended.values() if row.outcome is not None], objectives)
    others = [candidate_id for candidate_id in ended if candidate_id not in set(members)]
    own = tuple(objective.name for objective in objectives if objective.name not in OBJECTIVES)
    return [Entry(row=ended[member], on_front=True, own=own) for member in members] + [
        Entry(row=ended[other], on_front=False, own=own) for other in others
    ]


def too_short_for(found: Sequence[Entry]) -> str | None:
    """That the search ended before a child of a network was trained; None where one was. A front is then the networks that a
    search begins with, briefly trained."""
    started = [entry for entry in found if not entry.row.parents]
    if len(started) < len(found):
        return None
    finished = sum(entry.status == "finished" for entry in started)
    return (
        f"The time was too short for a search: {finished} of the {len(started)} networks that it begins with were trained, and "
        "no child of one"
    )


def why_empty(found: Sequence[Entry]) -> str | None:
    """Why there is no front; None where there is one."""
    counts = Counter(entry.status for entry in found)
    if counts["finished"]:
        return None
    tried = ", ".join(f"{count} {STATUSES.get(status, status)}" for status, count in counts.most_common())
    if not tried:
        return "nothing has finished yet"
    why = "no network kept to the limits" if counts["infeasible"] else "no network finished"
    return f"{why}; {tried}, see --all"


def _above(objective: Objective, least: float) -> str:
    option = f"--max-{objective.name.replace('_', '-')}"
    return (
        f"no network is within {objective.upper_bound:.4g} {objective.label} ({option}): the front is the one of the least, "
        f"{least:.4g}; a new run with a larger limit can have more"
    )


def why_of_no_use(found: Sequence[Entry], objectives: Sequence[Objective]) -> str | None:
    """That no network is within the largest error that the run allows, or within the limit on a value that is known after a
    training; None where one is, or none is finished.
    """
    (error,) = (objective for objective in objectives if objective.name == "error")
    front = [entry.row.values for entry in found if entry.on_front]
    least = min((values["error"] for values in front), default=0.0)
    if error.allows(least):
        others = [each for each in objectives if front and not any(each.allows(values[each.name]) for values in front)]
        return _above(others[0], min(values[others[0].name] for values in front)) if others else None
    found_instead = f"the front is the most accurate one, {least:.4g}"
    return (
        f"no network is within {error.upper_bound:.4g} validation {error.label} (--max-error, by default that of the majority "
        f"class): {found_instead}"
    )
