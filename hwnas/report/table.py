"""Entries as text: a table for people, CSV and JSON for programs."""

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from rich.table import Table

from hwnas.objective import Objective
from hwnas.report.entry import Entry
from hwnas.report.interval import PLUS_MINUS, aligned, with_interval

Format: TypeAlias = Literal["table", "csv", "json"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column of the table: its title, the text of a cell ("" where nothing is known), and whether it holds numbers."""

    title: str
    text: Callable[[Entry], str]
    number: bool = True


def percent(share: float | None) -> str:
    """A share as per cent."""
    return "" if share is None else f"{share:.2%}".replace("%", " %")


def size(value: float | None) -> str:
    """A count with its thousands apart, without unit."""
    return "" if value is None else f"{value:,.0f}"


def tenths(value: float | None) -> str:
    """A size with one decimal, its thousands apart."""
    return "" if value is None else f"{value:,.1f}"


def latency(entry: Entry) -> str:
    """A latency in ms with the half-width of its 95 % interval, which one that a model computed has not."""
    value, half = entry.value("latency_ms"), entry.value("latency_ci_ms")
    return "" if value is None else with_interval(value, half or 0.0)


def figures(name: str) -> Callable[[Entry], str]:
    """Three significant digits of a value."""

    def text(entry: Entry) -> str:
        value = entry.value(name)
        return "" if value is None else f"{value:.3g}"

    return text


COLUMNS = (
    Column(title="id", text=lambda entry: entry.id, number=False),
    Column(title="error", text=lambda entry: percent(entry.value("error"))),
    Column(title="test error", text=lambda entry: percent(entry.value("test_error"))),
    Column(title="parameters", text=lambda entry: size(entry.value("parameters"))),
    Column(title="MACs", text=lambda entry: size(entry.value("macs"))),
    Column(title="latency ms", text=latency),
    Column(title="sensitivity", text=figures("sensitivity")),
    Column(title="expected change", text=figures("expected_change")),
    Column(title="trained", text=lambda entry: "to the end" if entry.is_trained else "", number=False),
    Column(title="operator", text=lambda entry: entry.row.operator, number=False),
    Column(title="parent", text=lambda entry: entry.row.parent or "", number=False),
)
# Shown where they are objectives of the run.
FURTHER: Mapping[str, Column] = {
    "memory_kb": Column(title="memory kB", text=lambda entry: tenths(entry.value("memory_kb"))),
    "sensitivity_mean": Column(title="sensitivity, mean", text=figures("sensitivity_mean")),
    "sensitivity_max": Column(title="sensitivity, max", text=figures("sensitivity_max")),
    "adcr": Column(title="ADCR", text=figures("adcr")),
}
IMAGES = Column(title="images", text=lambda entry: size(entry.value("images")))  # that the error was taken after
STATUS = Column(title="status", text=lambda entry: "front" if entry.on_front else entry.status, number=False)


def columns_of(entries: Sequence[Entry], objectives: Sequence[Objective] = ()) -> list[Column]:
    """The columns that have anything in them, the run's ``objectives`` among them.

    The status where not all are on the front, images where some were stopped early.
    """
    own = [FURTHER[objective.name] for objective in objectives if objective.name in FURTHER]
    columns = [*COLUMNS[:-2], *own, *COLUMNS[-2:], *([] if all(entry.on_front for entry in entries) else [STATUS])]
    columns += [IMAGES] if any(entry.status == "stopped_early" for entry in entries) else []
    return [column for column in columns if any(column.text(entry) for entry in entries)]


def as_table(entries: Sequence[Entry], objectives: Sequence[Objective] = ()) -> Table:
    """Entries as a table for a terminal, with a column of each of the run's ``objectives``."""
    table, texts = Table(box=None, pad_edge=False, header_style="bold"), []
    for column in columns_of(entries, objectives):
        cells = [column.text(entry) for entry in entries]
        has_intervals = any(PLUS_MINUS in cell for cell in cells)
        texts.append(aligned(cells) if has_intervals else cells)  # which justifying to the right would strip again
        table.add_column(column.title, justify="right" if column.number and not has_intervals else "left", overflow="fold")
    for row in zip(*texts, strict=True):
        table.add_row(*row)
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
