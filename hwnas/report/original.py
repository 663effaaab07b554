"""What a front is worth beside the network that a search began with: how much faster, at what error."""

from collections.abc import Sequence

from hwnas.candidate import NEW_HEAD, START
from hwnas.objectives.share import percent
from hwnas.report.entry import Entry
from hwnas.store import Row

SPEEDS = (1.5, 2.0, 3.0)  # times as fast as the original
COMPARED = 3  # originals: a run may begin with the whole front of another
COSTS = {"latency_ms": "as fast", "parameters": "smaller", "macs": "smaller in MACs"}  # the first that both know


def originals(entries: Sequence[Entry]) -> list[Entry]:
    """The networks that a user brought with their weights and that were evaluated as they are."""
    return [entry for entry in entries if is_original(entry.row) and entry.value("error") is not None]


def is_original(row: Row) -> bool:
    """Whether a network is one that the run was started with, its weights kept. Read from the row's columns: the steps of a row
    may hold an operation that nobody registered here."""
    return not row.parents and row.operator.split("+")[0] in (START, NEW_HEAD)


def beside_original(entries: Sequence[Entry]) -> list[str]:
    """What each of the first originals is, and the most accurate network of the front that is 1.5, 2 and 3 times as fast (or
    smaller, where no latency was measured); nothing for a run that began without one."""
    front = [entry for entry in entries if entry.on_front]
    lines = []
    for original in originals(entries)[:COMPARED]:
        lines.append(f"Your network {original.id}: {_figures(original)}")
        name = _cost_of(original)
        if name is None:
            continue
        for speed in SPEEDS:
            most = _known(original, name) / speed
            within = [entry for entry in front if (entry.value(name) or most + 1) <= most]
            if within:
                best = min(within, key=lambda entry: _known(entry, "error"))
                lines.append(f"  {speed:g} times {COSTS[name]}: {best.id}, {points_more(best, original)}")
            else:
                lines.append(f"  {speed:g} times {COSTS[name]}: none yet")
    return lines


def against_original(entry: Entry, entries: Sequence[Entry]) -> str | None:
    """A network beside the first original of its run, in one sentence; None where the run began without one."""
    found = originals(entries)
    if not found:
        return None
    if found[0].id == entry.id:
        return "It is your own network, as it came."
    original = found[0]
    parts = [points_more(entry, original)]
    if entry.value("latency_ms") and original.value("latency_ms"):
        parts.append(f"{_known(original, 'latency_ms') / _known(entry, 'latency_ms'):.2g} times as fast")
    parts.append(f"{_known(entry, 'parameters') / _known(original, 'parameters'):.0%}".replace("%", " % of the parameters"))
    return f"Beside your network {original.id}: {', '.join(parts)}."


def points_more(entry: Entry, original: Entry) -> str:
    """How the validation error of a network differs from the original's, in points."""
    points = 100 * (_known(entry, "error") - _known(original, "error"))
    if abs(points) < 0.005:
        return "the same error"
    return f"{abs(points):.2g} points {'more' if points > 0 else 'less'} error"


def _figures(original: Entry) -> str:
    latency = original.value("latency_ms")
    measured = "" if latency is None else f", {latency:.3g} ms"
    return f"{percent(_known(original, 'error'))} error, {_known(original, 'parameters'):,.0f} parameters{measured}"


def _cost_of(original: Entry) -> str | None:
    return next((name for name in COSTS if original.value(name)), None)


def _known(entry: Entry, name: str) -> float:
    value = entry.value(name)
    return entry.row.needed(name) if value is None else value
