"""Entries as text: a table for people, CSV and JSON for programs."""

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, TypeAlias

from rich.table import Table
from rich.text import Text

from hwnas.objective import DEFAULT_OBJECTIVES, Notation, Objective
from hwnas.objectives import OBJECTIVES, known_objectives
from hwnas.objectives.share import percent as percent
from hwnas.objectives.share import with_range
from hwnas.report.entry import STATUSES, Entry
from hwnas.report.interval import PLUS_MINUS, aligned, with_interval

Format: TypeAlias = Literal["table", "csv", "json"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column of the table: its title, the text of a cell ("" where nothing is known), and whether it holds numbers."""

    title: str
    text: Callable[[Entry], str]
    number: bool = True


def size(value: float | None) -> str:
    """A count with its thousands apart, without unit."""
    return "" if value is None else f"{value:,.0f}"


def tenths(value: float | None) -> str:
    """A size with one decimal, its thousands apart."""
    return "" if value is None else f"{value:,.1f}"


def figures(value: float | None) -> str:
    """Three significant digits of a value."""
    return "" if value is None else f"{value:.3g}"


_TEXTS: Mapping[Notation, Callable[[float | None], str]] = {
    "percent": percent,
    "count": size,
    "tenths": tenths,
    "figures": figures,
}


def text_of(entry: Entry, objective: Objective) -> str:
    """An objective's value as text, with the half-width of its 95 % interval where it has one; "" where nothing is known."""
    value = entry.value(objective.name)
    if objective.interval is None or value is None:
        return _TEXTS[objective.text](value)
    return with_interval(value, entry.value(objective.interval) or 0.0)


def in_words(entry: Entry, objectives: Sequence[Objective]) -> str:
    """A network in a line: its id, error with interval, parameters and, where it is known, latency."""
    (error,) = (objective.label for objective in objectives if objective.name == "error")
    parts = [f"{entry.id}: {with_range(entry.value('error'), entry.value('error_low'), entry.value('error_high'))} {error}"]
    parts += [f"{size(entry.value('parameters'))} parameters"] if entry.value("parameters") is not None else []
    parts += [f"{entry.value('latency_ms'):.3g} ms"] if entry.value("latency_ms") is not None else []
    return ", ".join(parts)


def column_of(objective: Objective) -> Column:
    """An objective's column."""
    title = objective.label if objective.unit == "1" else f"{objective.label} {objective.unit}"
    return Column(title=title, text=lambda entry: text_of(entry, objective))


ID = Column(title="id", text=lambda entry: entry.id, number=False)
TEST_ERROR = Column(title="test error", text=lambda entry: percent(entry.value("test_error")))
TRAINED = Column(title="trained", text=lambda entry: "to the end" if entry.is_trained else "", number=False)
OPERATOR = Column(title="operator", text=lambda entry: entry.row.operator, number=False)
TUNED = Column(title="tuned", text=lambda entry: entry.tuned, number=False)
PARENT = Column(title="parent", text=lambda entry: entry.row.parent or "", number=False)
IMAGES = Column(title="images", text=lambda entry: size(entry.value("images")))  # that the error was taken after
STATUS = Column(
    title="status", text=lambda entry: "front" if entry.on_front else STATUSES.get(entry.status, entry.status), number=False
)


def columns_of(entries: Sequence[Entry], objectives: Sequence[Objective] = ()) -> list[Column]:
    """The columns that have anything in them, the run's ``objectives`` among them.

    The status where not all are on the front, images where some were stopped early.
    """
    wanted = known_objectives(objectives)
    error, *others = (each for each in wanted.values() if each.shown or each.name in {own.name for own in objectives})
    columns = [ID, column_of(error), TEST_ERROR, *map(column_of, others), TRAINED, TUNED, OPERATOR, PARENT]
    columns += [] if all(entry.on_front for entry in entries) else [STATUS]
    columns += [IMAGES] if any(entry.status == "stopped_early" for entry in entries) else []
    return [column for column in columns if any(column.text(entry) for entry in entries)]


def brief_columns(
    entries: Sequence[Entry], objectives: Sequence[Objective], names: Mapping[str, str] = MappingProxyType({})
) -> list[Column]:
    """The columns that a newcomer can read: the error with its interval, parameters, latency, and what else the user asked for.

    Of the objectives that a run has where none is named, expected change is left out. ``names``: what some of the entries are
    called, by their ids. What nothing is known of has no column; the status and the images are there as in
    ``columns_of``, the test error where some have no other.
    """
    own = {objective.name: objective for objective in objectives}
    error = own.get("error", OBJECTIVES["error"])
    wanted = dict.fromkeys(["parameters", "latency_ms", *(() if tuple(own) == DEFAULT_OBJECTIVES else own)])
    others = [own[name] if name in own else OBJECTIVES[name] for name in wanted if name != "error"]
    tested = [TEST_ERROR] if any(entry.status == "unvalidated" for entry in entries) else []  # the only error that those have
    columns = [ID, _with_range(error), *tested, *map(column_of, others)]
    columns += [Column(title="", text=lambda entry: names.get(entry.id, ""), number=False)]
    columns += [] if all(entry.on_front for entry in entries) else [STATUS]
    columns += [IMAGES] if any(entry.status == "stopped_early" for entry in entries) else []
    return [column for column in columns if any(column.text(entry) for entry in entries)]


def hidden_objectives(entries: Sequence[Entry], objectives: Sequence[Objective]) -> list[str]:
    """The objectives of a run for which ``brief_columns`` has no column."""
    titles = {column.title for column in brief_columns(entries, objectives)}
    return [each.label for each in objectives if each.name != "error" and column_of(each).title not in titles]


def _with_range(error: Objective) -> Column:
    def text(entry: Entry) -> str:
        return with_range(entry.value("error"), entry.value("error_low"), entry.value("error_high"))

    return Column(title=f"{error.label} (95 %)", text=text)


def as_table(
    entries: Sequence[Entry],
    objectives: Sequence[Objective] = (),
    printable: Callable[[str], str] = str,
    columns: Sequence[Column] | None = None,
) -> Table:
    """Entries as a table for a terminal: these ``columns``, by default all that have anything in them, with one of each of the
    run's ``objectives``.

    ``printable`` is what becomes of a cell's text, which may come from a foreign run; it is never read as markup.
    """
    table, texts = Table(box=None, pad_edge=False, header_style="bold"), []
    for column in columns_of(entries, objectives) if columns is None else columns:
        cells = [column.text(entry) for entry in entries]
        has_intervals = any(PLUS_MINUS in cell for cell in cells)
        texts.append(aligned(cells) if has_intervals else cells)  # which justifying to the right would strip again
        table.add_column(column.title, justify="right" if column.number and not has_intervals else "left", overflow="fold")
    for row in zip(*texts, strict=True):
        table.add_row(*(Text(printable(cell)) for cell in row))
    return table


def as_csv(entries: Sequence[Entry]) -> str:
    """Entries as CSV with a line of names; the columns are the keys of ``Entry.to_json``."""
    out = io.StringIO()
    records: list[Mapping[str, object]] = [entry.to_json() for entry in entries]
    if records:
        writer = csv.DictWriter(out, fieldnames=list(records[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(records)
    return out.getvalue()


def as_json(entries: Sequence[Entry]) -> str:
    """Entries as a JSON list of objects, each with its learning curve."""
    return json.dumps([{**entry.to_json(), "curve": entry.curve()} for entry in entries], indent=2, allow_nan=False)
