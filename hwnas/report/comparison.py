"""Several runs on one page: their fronts over each other, and what they came to in a table."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hwnas.errors import RequestError
from hwnas.objective import Objective
from hwnas.objectives.share import with_range
from hwnas.pareto import Bounds, hypervolume
from hwnas.report import payload
from hwnas.report.entry import Entry, entries
from hwnas.report.rendering import rendered
from hwnas.report.suggestions import suggestions
from hwnas.report.table import size, text_of
from hwnas.store import RunStore

DECADES = 1.0  # how far the box reaches beyond all fronts, in powers of ten


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """A run to be compared: what it is called, its store and its objectives."""

    label: str
    store: RunStore
    objectives: tuple[Objective, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Side:
    """What the page says of one run."""

    label: str
    objectives: tuple[Objective, ...]
    front: tuple[Entry, ...]
    tried: int
    strategy: str
    seed: str
    device: str
    device_sha256: str | None
    used_s: float | None


def comparison(runs: Sequence[Compared]) -> str:
    """The page. Raises RequestError where there are fewer than two runs, or their errors do not compare."""
    refuse_incomparable(runs)
    sides = [_side(run) for run in runs]
    shared = shared_objectives(sides)
    volumes = hypervolumes(sides, shared)
    measured = {side.device_sha256 for side in sides if any(each.name == "latency_ms" for each in side.objectives)}
    return rendered(
        "compare.html.j2",
        labels=[side.label for side in sides],
        refresh_s=None,
        shared=[each.label for each in shared],
        several_devices=len(measured) > 1,
        runs=[_row(side, volume) for side, volume in zip(sides, volumes, strict=True)],
        suggested=[row for side in sides for row in _suggested(side)],
        data={
            "axes": _axes(sides),
            "runs": [{"label": side.label, "networks": payload.networks(side.front, side.objectives, {})} for side in sides],
        },
    )


def refuse_incomparable(runs: Sequence[Compared]) -> None:
    """Raise RequestError unless there are two runs or more, of the same data and metric."""
    if len(runs) < 2:
        raise RequestError(f"a comparison needs two runs or more, got {len(runs)}: hwnas compare runs/A runs/B")
    first, *others = runs
    for other in others:
        for what, one, two in (("data", _data(first), _data(other)), ("metric", _metric(first), _metric(other))):
            if one != two:
                raise RequestError(
                    f"{other.label} and {first.label} differ in their {what} ({_said(two)} and {_said(one)}): their errors do "
                    "not compare; name runs of the same data and metric"
                )


def shared_objectives(sides: Sequence[_Side]) -> list[Objective]:
    """The objectives that all runs have; of latency only where all were measured on one device."""
    names = [{objective.name for objective in side.objectives} for side in sides]
    one_device = len({side.device_sha256 for side in sides}) == 1
    return [
        objective
        for objective in sides[0].objectives
        if all(objective.name in each for each in names) and (one_device or objective.name != "latency_ms")
    ]


def hypervolumes(sides: Sequence[_Side], objectives: Sequence[Objective]) -> list[float | None]:
    """The hypervolume of each front in one box around all of them; None where no front has a network.

    The box (our definition) is laid as a run lays its own: the error from 0 to 1, an objective on a logarithmic scale from a
    tenth of its least to ten times its largest value on any of the fronts, any other from 0 to a tenth beyond its largest.
    """
    points = [[_point(entry, objectives) for entry in side.front] for side in sides]
    everything = [point for front in points for point in front]
    if not everything or len(objectives) < 2:
        return [None for _ in sides]
    bounds = [_bounds(objective, column) for objective, column in zip(objectives, zip(*everything, strict=True), strict=True)]
    return [hypervolume(front, bounds) if front else None for front in points]


def _point(entry: Entry, objectives: Sequence[Objective]) -> list[float]:
    values = (entry.value(objective.name) for objective in objectives)
    return [entry.row.needed(each.name) if value is None else value for each, value in zip(objectives, values, strict=True)]


def _bounds(objective: Objective, values: Sequence[float]) -> Bounds:
    if not objective.log_scale:
        return Bounds(low=0.0, high=1.0 if objective.name == "error" else max(*values, 1e-12) * 1.1)
    logs = [math.log10(max(value, 1e-12)) for value in values]
    return Bounds(low=min(logs) - DECADES, high=max(logs) + DECADES, log10=True)


def _data(run: Compared) -> object:
    return run.store.find_meta("data_fingerprint"), run.store.find_meta("data_name")


def _metric(run: Compared) -> object:
    return next(each.label for each in run.objectives if each.name == "error")


def _said(fact: object) -> str:
    return str(fact[1]) if isinstance(fact, tuple) else str(fact)


def _side(run: Compared) -> _Side:
    found = entries(run.store.rows(), run.objectives)
    config = json.loads(run.store.config)
    strategy = config.get("strategy", "unknown")
    profile, fingerprint = run.store.find_meta("profile"), run.store.find_meta("device_fingerprint")
    described = profile["description"] if isinstance(profile, Mapping) else "none"
    cpu = fingerprint.get("cpu") if isinstance(fingerprint, Mapping) else None
    return _Side(
        label=run.label,
        objectives=run.objectives,
        front=tuple(entry for entry in found if entry.on_front),
        tried=sum(entry.status == "finished" for entry in found),
        strategy=str(strategy.get("name", "unknown") if isinstance(strategy, Mapping) else strategy),
        seed=str(config.get("seed", "unknown")),
        device=f"{described} ({cpu})" if cpu else str(described),
        device_sha256=run.store.find_meta("device_fingerprint_sha256"),
        used_s=run.store.find_meta("used_s", float | None),
    )


def _row(side: _Side, volume: float | None) -> dict[str, str]:
    best = side.front[0] if side.front else None
    return {
        "run": side.label,
        "device": side.device,
        "strategy": side.strategy,
        "seed": side.seed,
        "minutes": "unknown" if side.used_s is None else f"{side.used_s / 60:.1f}",
        "trained networks": size(side.tried),
        "on the front": size(len(side.front)),
        "least validation error (95 %)": "none" if best is None else _error(best),
        "hypervolume": "none" if volume is None else f"{volume:.4f}",
    }


def _suggested(side: _Side) -> list[dict[str, str]]:
    others = [objective for objective in side.objectives if objective.name != "error"]
    return [
        {"run": side.label, "network": f"{each.name}: {each.entry.id}", "validation error (95 %)": _error(each.entry)}
        | {payload.title_of(objective): text_of(each.entry, objective) for objective in others}
        for each in suggestions(side.front, side.objectives)
    ]


def _error(entry: Entry) -> str:
    return with_range(entry.value("error"), entry.value("error_low"), entry.value("error_high"))


def _axes(sides: Sequence[_Side]) -> list[dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for side in sides:
        for axis in payload.axes(side.front, side.objectives, {}):
            known = found.setdefault(axis["name"], axis)
            known["own"] = known["own"] and axis["own"]
    return [axis | {"limit": None} for axis in found.values()]
