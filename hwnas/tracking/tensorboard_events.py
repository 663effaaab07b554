"""A run as TensorBoard's event files: learning curves by images shown, and what each generation ended with.

``DIR/NAME/search`` has hypervolume and size of the front by generation, ``DIR/NAME/<id>`` the curve of a network. Event files are
only ever added to: what they hold is read first, and what they lack is written into a new one.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from hwnas.errors import RequestError
from hwnas.tracking.record import RunRecord, Tracked, missing

MARKER = "hwnas.json"  # says whose events a folder holds
Points = Mapping[tuple[str, int], tuple[float, float]]  # by tag and step: a value and the clock's seconds


def write(record: RunRecord, folder: Path) -> Tracked:
    """Bring the event files of a folder up to date with a run.

    Raises RequestError where TensorBoard is not installed, or the folder's events of this name are another run's.
    """
    try:
        import tensorboard.summary  # noqa: F401
    except ModuleNotFoundError as error:
        raise missing("tensorboard", error) from error
    place = folder / record.name
    _mark(place, record)
    _add(place / "search", _search(record))
    counts = {"added": 0, "updated": 0, "known": 0}
    for entry in record.entries:
        at = entry.row.finished_at or entry.row.created_at
        points = {
            (f"curve/{name}", int(point["images"] or 0)): (value, at)
            for point in entry.curve()
            for name in ("loss", "error")
            if (value := point[name]) is not None
        }
        counts[_add(place / entry.id, points)] += 1
    return Tracked(tracker="TensorBoard", place=str(place), left_out=record.left_out, **counts)


def _mark(place: Path, record: RunRecord) -> None:
    """Say whose events the folder holds. Raises RequestError where they are another's."""
    marker = place / MARKER
    if marker.is_file():
        try:
            found = json.loads(marker.read_text(encoding="utf-8"))
        except ValueError:
            found = None
        if found != {"run": record.identity}:
            raise RequestError(f"{place} holds the events of another run: choose another folder, or another --name")
    elif place.is_dir() and any(place.iterdir()):
        raise RequestError(f"{place} holds something else: choose another folder, or another --name")
    else:
        place.mkdir(parents=True, exist_ok=True)
        marker.write_text(json.dumps({"run": record.identity}), encoding="utf-8")


def _search(record: RunRecord) -> Points:
    found: dict[tuple[str, int], tuple[float, float]] = {}
    for generation in record.generations:
        for name, value in (("hypervolume", generation.hypervolume), ("front_size", generation.front_size)):
            if value is not None:
                found[f"search/{name}", generation.number] = (value, generation.at)
    return found


def _add(place: Path, points: Points) -> str:
    """Write those points that the event files of a folder lack; gives ``added``, ``updated``, or ``known``."""
    from tensorboard.summary import Writer

    known = set(_steps(place)) if place.is_dir() else set()
    new = {key: point for key, point in points.items() if key not in known}
    if not new:
        return "known" if known or not points else "added"
    writer = Writer(str(place))
    try:
        for (tag, step), (value, at) in new.items():
            writer.add_scalar(tag, value, step, wall_time=at)
    finally:
        writer.close()
    return "updated" if known else "added"


def _steps(place: Path) -> Iterator[tuple[str, int]]:
    """Tags and steps of what the event files hold; one that was cut off ends where it was."""
    from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader

    for file in sorted(place.glob("*tfevents*")):
        for event in LegacyEventFileLoader(str(file)).Load():
            yield from ((value.tag, event.step) for value in event.summary.value)
