"""What a tracker is told of a run, and what it answers."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Any

from hwnas.errors import RequestError
from hwnas.objective import Objective
from hwnas.report import Entry, entries, why_ended
from hwnas.report.payload import Summary
from hwnas.store import RunStore
from hwnas.store.codec import json_value

# Over a limit; cut off (a resume trains them to their end); trained on the validation images, too, so that no error is known.
NOT_COMPARED = ("infeasible", "unfinished", "unvalidated")


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """What a run said at the end of a generation; ``at`` is the clock's seconds since 1970."""

    number: int
    at: float
    used_s: float
    hypervolume: float | None
    front_size: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """A run at one moment: ``entries`` are the networks that were trained, in the order in which they ended,
    ``front`` the ids of those on the front, best error first.

    ``identity`` is that of the run wherever its folder lies; ``left_out`` counts networks that were not trained to an end: over a
    limit, or cut off. ``ended``: why the search ended, None while it is at work.
    """

    name: str
    identity: str
    config: Mapping[str, Any]
    objectives: tuple[Objective, ...]
    entries: tuple[Entry, ...]
    front: tuple[str, ...]
    left_out: int
    generations: tuple[Generation, ...]
    began_at: float
    ended: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tracked:
    """What a tracker has of a run now: how many networks were ``added``, ``updated`` and ``known`` (there as they are).

    ``left_out``: how many the run has that no tracker is told of: they have no error, or were not trained to an end.
    """

    tracker: str
    place: str
    added: int
    updated: int
    known: int
    left_out: int

    def since(self, added: int) -> "Tracked":
        """The same beside an earlier call that ``added`` so many: those are no longer there already."""
        there = self.added + self.updated + self.known
        return replace(self, added=self.added + added, updated=0, known=there - self.added - added)

    def __repr__(self) -> str:
        return f"<{self}>"

    def __str__(self) -> str:
        updated = f"{self.updated} updated, " if self.updated else ""
        left_out = f"; {self.left_out} left out, which have no error or were not trained to an end" if self.left_out else ""
        return f"{self.tracker}, {self.place}: {self.added} networks added, {updated}{self.known} there already{left_out}"


def record_of(store: RunStore, objectives: Sequence[Objective], name: str | None = None) -> RunRecord | None:
    """A run as it stands, called ``name`` (by default as its folder is); None before it has begun."""
    started = next(store.events("started"), None)
    if started is None:
        return None
    found = entries(store.rows(), objectives)
    trained = [entry for entry in found if entry.status not in NOT_COMPARED]
    config = json_value(store.config, "the configuration of a run")
    return RunRecord(
        name=store.folder.resolve().name if name is None else name,
        identity=blake2b(f"{store.config} {started.at!r}".encode(), digest_size=8).hexdigest(),
        config=config if isinstance(config, Mapping) else {},
        objectives=tuple(objectives),
        entries=tuple(sorted(trained, key=lambda entry: entry.row.finished or 0)),
        front=tuple(entry.id for entry in found if entry.on_front),
        left_out=len(found) - len(trained),
        generations=_generations(store),
        began_at=started.at,
        ended=why_ended(store),
    )


def _generations(store: RunStore) -> tuple[Generation, ...]:
    """Those that ended; of one that was repeated after a kill the last."""
    found = {event.generation: event for event in store.events("generation", Summary) if event.generation is not None}
    return tuple(
        Generation(
            number=number,
            at=found[number].at,
            used_s=found[number].payload.used_s,
            hypervolume=found[number].payload.hypervolume,
            front_size=found[number].payload.front,
        )
        for number in sorted(found)
    )


def settings_of(config: Mapping[str, Any], above: str = "") -> dict[str, str]:
    """A configuration in one table, sections before a dot; what is not set is left out."""
    flat: dict[str, str] = {}
    for key, value in config.items():
        if isinstance(value, Mapping):
            flat |= settings_of(value, f"{above}{key}.")
        elif value not in (None, "", [], ()):
            flat[f"{above}{key}"] = ",".join(map(str, value)) if isinstance(value, list) else str(value)
    return flat


def metrics_of(entry: Entry) -> dict[str, float]:
    """Every number that is known of a network, by the names of ``hwnas front --format json``."""
    return {
        name: float(value)
        for name, value in entry.to_json().items()
        if isinstance(value, int | float) and not isinstance(value, bool) and name != "generation"
    }


def facts_of(entry: Entry) -> dict[str, str]:
    """Where a network comes from, and the settings that its training had of its own."""
    row = entry.row
    facts = {"operator": row.operator, "parent": row.parent or "", "architecture_id": row.architecture_id}
    facts["generation"] = "" if entry.is_trained else str(row.generation)
    facts |= {f"training.{name}": str(value) for name, value in row.training.items()}
    return {name: value for name, value in facts.items() if value}


def shown(address: str) -> str:
    """An address without the password in it, for messages."""
    return re.sub(r"(://[^:/@]*:)[^@]*@", r"\1***@", address)


def missing(extra: str, error: ModuleNotFoundError) -> RequestError:
    """What is said where a tracker's library is not installed."""
    return RequestError(f"this tracker's library is not there ({error}): pip install 'hwnas[{extra}]'")
