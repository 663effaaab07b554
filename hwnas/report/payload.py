"""What the page draws in the browser, as plain JSON: objectives, networks, their layers, and what was found out about them.

Networks stand in columns (one list for each value) and layers in one table that all networks share, which keeps a page of 2,000
networks within a few megabytes.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from hwnas.errors import StoreError
from hwnas.objective import Objective
from hwnas.objectives import OBJECTIVES
from hwnas.report.architecture import layers_of
from hwnas.report.entry import Entry
from hwnas.report.original import is_original
from hwnas.store import Measurement, RunStore
from hwnas.store.campaigns import as_plain, read_figures

ERROR_INTERVAL = ("error_low", "error_high")
TEST_INTERVAL = ("test_low", "test_high")
DRAWN = 600  # networks off the front whose layers are in the page, the best ones; more would take seconds to read
POINTS = 40  # of a learning curve
DIGITS = 9  # with fewer a rounded value may differ from the one in a table


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What is read of an event ``generation``."""

    hypervolume: float | None = None
    front: int | None = None
    used_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Latency:
    """What is read of a measured latency; a value that an older version did not keep is None."""

    latency_ms: float
    ci_ms: float
    p50_ms: float | None = None
    p90_ms: float | None = None
    p99_ms: float | None = None
    samples: int | None = None
    waiting: float | None = None
    peak_memory_kb: float | None = None
    quiet: bool | None = None


def title_of(objective: Objective) -> str:
    """An objective's title with its unit, as an axis shows it."""
    if objective.name == "error":
        return f"validation {objective.label}"
    return objective.label if objective.unit == "1" else f"{objective.label} in {objective.unit}"


def interval_of(entry: Entry, objective: Objective) -> tuple[float, float] | None:
    """The ends of the 95 % interval of a network's value; None where it has none."""
    value, ends = entry.value(objective.name), [entry.value(name) for name in _interval_names(objective)]
    if value is None or not ends or any(end is None for end in ends):
        return None
    known = [end for end in ends if end is not None]
    return (value - known[0], value + known[0]) if len(known) == 1 else (known[0], known[1])


def _interval_names(objective: Objective) -> Sequence[str]:
    """Under which names an interval stands: its two ends, or its half-width."""
    if objective.name == "error":
        return ERROR_INTERVAL
    return () if objective.interval is None else (objective.interval,)


def standing(entry: Entry, objectives: Sequence[Objective]) -> str:
    """Why a network is on the front or not: ``front``, ``dominated``, the objective whose bound it is above, its status."""
    if entry.on_front:
        return "front"
    if entry.status != "finished":
        return entry.status.replace("_", " ")
    above = [f"{title_of(o)} above {o.upper_bound:g}" for o in objectives if not o.allows(entry.row.values[o.name])]
    return " and ".join(above) or "dominated"


def axes(entries: Sequence[Entry], objectives: Sequence[Objective], limits: Mapping[str, float]) -> list[dict[str, Any]]:
    """What can be an axis: the run's objectives first, then what else is known of some networks; the error is always one."""
    own = {objective.name: objective for objective in objectives}
    others = [each for name, each in OBJECTIVES.items() if name not in own and any(e.value(name) is not None for e in entries)]
    found = [_axis(each, limits, own=True) for each in own.values()] + [_axis(each, limits, own=False) for each in others]
    if any(entry.value("test_error") is not None for entry in entries):
        found.append(
            {"name": "test_error", "title": "test error", "label": "test error", "unit": "1", "text": "percent", "log": True}
            | {"own": False, "interval": TEST_INTERVAL, "limit": None}
        )
    return found


def _axis(objective: Objective, limits: Mapping[str, float], *, own: bool) -> dict[str, Any]:
    bounds = [bound for bound in (objective.upper_bound, limits.get(objective.name)) if bound is not None]
    return {
        "name": objective.name,
        "title": title_of(objective),
        "label": title_of(objective) if objective.name == "error" else objective.label,
        "unit": objective.unit,
        "text": objective.text,
        "log": objective.log_scale or objective.text in ("percent", "count"),
        "own": own,
        "interval": _interval_names(objective),
        "limit": min(bounds, default=None),
    }


def networks(entries: Sequence[Entry], objectives: Sequence[Objective], names: Mapping[str, str]) -> dict[str, Any]:
    """Networks in columns; ``names``: what those that are suggested are called."""
    known = dict.fromkeys(name for entry in entries for name in (*entry.row.final, *entry.row.values, *entry.row.cheap))
    columns = {name: [_rounded(entry.value(name)) for entry in entries] for name in known}
    return {
        "id": [entry.id for entry in entries],
        "parents": [entry.row.parents for entry in entries],
        "operator": [entry.row.operator for entry in entries],
        "tuned": {entry.id: entry.tuned for entry in entries if entry.tuned},
        "generation": [None if entry.is_trained else entry.row.generation for entry in entries],
        "standing": [standing(entry, objectives) for entry in entries],
        "front": [int(entry.on_front) for entry in entries],
        "trained": [int(entry.is_trained) for entry in entries],
        "original": [int(is_original(entry.row)) for entry in entries],
        "named": {entry.id: names[entry.id] for entry in entries if entry.id in names},
        "failure": {entry.id: entry.failure for entry in entries if entry.failure is not None},
        "values": {name: column for name, column in columns.items() if any(value is not None for value in column)},
        "curve": [_curve(entry) for entry in entries],
        "seconds": [_rounded(entry.row.outcome.train_seconds if entry.row.outcome else None) for entry in entries],
    }


def drawings(entries: Sequence[Entry]) -> dict[str, Any]:
    """The layers of the front, of all that it descends from, and of the best of the others.

    ``rows``: each layer once, as [kind, text, shape, parameters, MACs]; ``networks``: by id a list of [row, reads ..], where
    what is read are places in that list; ``unknown``: by id why its layers are unknown.
    """
    rows: dict[str, int] = {}
    table: list[list[Any]] = []
    networks: dict[str, list[list[int]]] = {}
    unknown: dict[str, str] = {}
    for entry in _drawn(entries):
        try:
            layers = layers_of(entry.row.graph)
        except StoreError as error:  # an operation of the user's own that is not imported here: the rest is worth seeing
            unknown[entry.id] = str(error)
            continue
        networks[entry.id] = []
        for layer in layers:
            key = f"{layer.kind} {layer.text} {layer.shape} {layer.parameters} {layer.macs}"
            if key not in rows:
                rows[key] = len(table)
                table.append([layer.kind, layer.text, layer.shape, layer.parameters, layer.macs])
            networks[entry.id].append([rows[key], *layer.reads])
    return {"rows": table, "networks": networks, "unknown": unknown}


def _drawn(entries: Sequence[Entry]) -> Iterable[Entry]:
    known = {entry.id: entry for entry in entries}
    first: dict[str, Entry] = {}
    for entry in entries:
        if entry.on_front or entry.is_trained or is_original(entry.row):
            at: str | None = entry.id
            while at is not None and at in known and at not in first:
                first[at] = known[at]
                at = known[at].row.parent
    others = [entry for entry in entries if entry.id not in first and entry.value("error") is not None]
    return (*first.values(), *sorted(others, key=lambda entry: entry.value("error") or 0.0)[:DRAWN])


def progress(store: RunStore, entries: Sequence[Entry]) -> dict[str, list[Any]]:
    """Hypervolume, size of the front and least error behind each generation, over the time used."""
    found = {event.generation: event for event in store.events("generation", Summary) if event.generation is not None}
    events = [found[generation] for generation in sorted(found)]
    finished = sorted(
        (entry.row.finished, entry.row.values["error"])
        for entry in entries
        if entry.status == "finished" and entry.row.finished is not None
    )
    best, place, least = [], 0, math.inf
    for event in events:
        while place < len(finished) and finished[place][0] < event.sequence:
            least = min(least, finished[place][1])
            place += 1
        best.append(_rounded(least if math.isfinite(least) else None))
    return {
        "generation": [event.generation for event in events],
        "used_s": [_rounded(event.payload.used_s) for event in events],
        "hypervolume": [_rounded(event.payload.hypervolume) for event in events],
        "front": [event.payload.front for event in events],
        "best": best,
    }


def latencies(store: RunStore, entries: Sequence[Entry]) -> dict[str, dict[str, Any]]:
    """The newest measurement of each kind (search, final) of the networks, by id; those of another device are left out."""
    now = store.find_meta("device_fingerprint_sha256")
    by_architecture: dict[str, dict[str, Any]] = {}
    for measurement in store.measurements(None, _Latency):
        if measurement.fingerprint_sha256 == now:
            by_architecture.setdefault(measurement.architecture_id, {})[measurement.kind] = _measured(measurement)
    return {e.id: by_architecture[e.row.architecture_id] for e in entries if e.row.architecture_id in by_architecture}


def campaigns(store: RunStore) -> list[dict[str, object]]:
    """The figures of every fault campaign of the run."""
    return [as_plain(figures) for figures in read_figures(store.folder)]


def _measured(measurement: Measurement) -> list[Any]:
    return [_rounded(value) if isinstance(value, float) else value for value in asdict(measurement.latency).values()]


def _curve(entry: Entry) -> list[list[float | None]]:
    """Points [images, loss, error], thinned to as many as a picture needs; those with an error go last."""
    points = entry.row.outcome.curve if entry.row.outcome else ()
    step = max(1, math.ceil(len(points) / POINTS))
    keeps_errors = sum(point.error is not None for point in points) <= POINTS
    last = len(points) - 1
    kept = [
        point
        for place, point in enumerate(points)
        if place % step == 0 or place == last or (keeps_errors and point.error is not None)
    ]
    return [[point.images, _rounded(point.loss, 4), _rounded(point.error, 4)] for point in kept]


def _rounded(value: float | None, digits: int = DIGITS) -> float | None:
    if value is None or not math.isfinite(value):
        return None
    rounded = float(f"{value:.{digits}g}")
    return int(rounded) if rounded == int(rounded) and abs(rounded) < 1e15 else rounded
