"""The figures of the page: trade-offs, progress and lineage, by plotly."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from math import ceil
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from hwnas.objective import Objective
from hwnas.objectives import OBJECTIVES
from hwnas.report.entry import Entry
from hwnas.report.table import percent, size, text_of
from hwnas.store import Event

FRONT, OTHER, USELESS, EDGE = "#0b6e99", "#c3c9cf", "#e3bfae", "#9aa3ab"
COLOURS = {"front": FRONT, "dominated": OTHER}
_COLUMNS = 3
_ROW_PX = 360
_ERROR = "validation error"


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What is read of an event ``generation``."""

    hypervolume: float | None = None
    front: int | None = None
    used_s: float = 0.0


def title_of(objective: Objective) -> str:
    """An objective's title with its unit, as an axis shows it."""
    if objective.name == "error":
        return _ERROR
    return objective.label if objective.unit == "1" else f"{objective.label} in {objective.unit}"


def hover(entry: Entry) -> str:
    """What is said of a model when the mouse is over it; only names that hwnas itself made stand in it."""
    lines = [f"<b>{entry.id}</b>, {entry.row.operator}" + (f" of {entry.row.parent}" if entry.row.parent else "")]
    low, high = entry.value("error_low"), entry.value("error_high")
    interval = "" if low is None or high is None else f" ({percent(low)} to {percent(high)})"
    lines.append(f"validation error {percent(entry.value('error'))}{interval}")
    low, high = entry.value("test_low"), entry.value("test_high")
    if low is not None and high is not None:
        lines.append(f"test error {percent(entry.value('test_error'))} ({percent(low)} to {percent(high)})")
    lines.append(f"{size(entry.value('parameters'))} parameters, {size(entry.value('macs'))} MACs")
    if measured := text_of(entry, OBJECTIVES["latency_ms"]):
        lines.append(f"latency {measured} ms")
    expected = entry.value("expected_change")
    lines.append(
        f"sensitivity {entry.value('sensitivity') or 0:.3g}" + ("" if expected is None else f", expected change {expected:.3g}")
    )
    return "<br>".join(lines)


def standing(entry: Entry, objectives: Sequence[Objective]) -> str:
    """Why a finished model is on the front or not: ``front``, ``dominated``, or which objective's ``upper_bound`` it is above."""
    if entry.on_front:
        return "front"
    above = [f"{title_of(o)} above {o.upper_bound:g}" for o in objectives if not o.allows(entry.row.values[o.name])]
    return " and ".join(above) or "dominated"


def trade_offs(entries: Sequence[Entry], objectives: Sequence[Objective]) -> go.Figure:
    """The finished models in each pair of objectives: the front before what it dominates and what is above a largest value."""
    pairs = list(combinations(objectives, 2))
    rows = ceil(len(pairs) / _COLUMNS)
    figure = make_subplots(rows=rows, cols=min(_COLUMNS, len(pairs)), horizontal_spacing=0.09, vertical_spacing=0.16 / rows)
    finished = [entry for entry in entries if entry.status == "finished"]
    groups: dict[str, list[Entry]] = {}
    for entry in reversed(finished):  # the front, which comes first, is drawn last
        groups.setdefault(standing(entry, objectives), []).append(entry)
    for number, (across, up) in enumerate(pairs):
        place: dict[str, Any] = {"row": number // _COLUMNS + 1, "col": number % _COLUMNS + 1}
        for name, members in groups.items():
            figure.add_trace(
                go.Scatter(
                    x=[entry.value(across.name) for entry in members],
                    y=[entry.value(up.name) for entry in members],
                    mode="markers",
                    name=name,
                    legendgroup=name,
                    showlegend=number == 0,
                    marker={"color": COLOURS.get(name, USELESS), "size": 9 if name == "front" else 6},
                    text=[hover(entry) for entry in members],
                    hovertemplate="%{text}<extra></extra>",
                ),
                **place,
            )
        figure.update_xaxes(**_axis(across, finished), **place)
        figure.update_yaxes(**_axis(up, finished), **place)
    return _laid_out(figure, rows * _ROW_PX)


def progress(events: Sequence[Event], entries: Sequence[Entry]) -> go.Figure:
    """Hypervolume, size of the front and best error after each generation; the events hold a Summary each."""
    found = {event.generation: event for event in events if event.generation is not None}
    summaries: dict[int, Summary] = {generation: event.payload for generation, event in found.items()}
    generations = sorted(summaries)
    figure = make_subplots(rows=1, cols=3, horizontal_spacing=0.09)
    curves = (
        ("hypervolume", [summaries[generation].hypervolume for generation in generations]),
        ("models on the front", [summaries[generation].front for generation in generations]),
        ("best validation error", [_best_error(entries, found[generation]) for generation in generations]),
    )
    for column, (title, values) in enumerate(curves, 1):
        texts = [f"generation {generation}, after {summaries[generation].used_s:.0f} s" for generation in generations]
        figure.add_trace(
            go.Scatter(
                x=generations,
                y=values,
                mode="lines+markers",
                line={"color": FRONT, "shape": "hv"},
                marker={"size": 5},
                showlegend=False,
                text=texts,
                hovertemplate="%{text}<br>%{y}<extra></extra>",
            ),
            row=1,
            col=column,
        )
        figure.update_xaxes(title_text="generation", row=1, col=column)
        figure.update_yaxes(title_text=title, row=1, col=column, tickformat=".1%" if "error" in title else None)
    return _laid_out(figure, 320)


def lineage(entries: Sequence[Entry]) -> go.Figure:
    """The front and all its ancestors: a line from each model to the one it was made of."""
    known = {entry.id: entry for entry in entries}
    family: dict[str, Entry] = {}
    beyond = 1 + max((entry.row.generation for entry in entries if not entry.is_trained), default=0)
    for member in (entry for entry in entries if entry.on_front):
        at: str | None = member.id
        while at is not None and at not in family:
            family[at] = known[at]
            at = known[at].row.parent
    figure = go.Figure()
    across: list[float | None] = []
    up: list[float | None] = []
    for entry in family.values():
        if entry.row.parent is not None:
            parent = family[entry.row.parent]
            across += [_across(parent, beyond), _across(entry, beyond), None]
            up += [parent.value("error"), entry.value("error"), None]
    line = {"color": EDGE, "width": 1}
    figure.add_trace(go.Scatter(x=across, y=up, mode="lines", line=line, hoverinfo="skip", showlegend=False))
    for name, colour, on_front in (("ancestor", OTHER, False), ("front", FRONT, True)):
        members = [entry for entry in family.values() if entry.on_front == on_front]
        figure.add_trace(
            go.Scatter(
                x=[_across(entry, beyond) for entry in members],
                y=[entry.value("error") for entry in members],
                mode="markers",
                name=name,
                marker={"color": colour, "size": 10, "line": {"width": 1, "color": EDGE}},
                text=[hover(entry) for entry in members],
                hovertemplate="%{text}<extra></extra>",
            )
        )
    figure.update_xaxes(title_text="generation")
    figure.update_yaxes(**_error_axis([entry.value("error") for entry in family.values()]))
    return _laid_out(figure, 440)


def _across(entry: Entry, beyond: int) -> int:
    """Where an entry stands: at its generation, behind them all where it was trained to the end."""
    return beyond if entry.is_trained else entry.row.generation


def _best_error(entries: Sequence[Entry], summary: Event) -> float | None:
    """The best error of what had finished when a generation was summarised."""
    finished = (entry.row for entry in entries if entry.status == "finished")
    return min((row.values["error"] for row in finished if row.finished and row.finished < summary.sequence), default=None)


def _axis(objective: Objective, entries: Sequence[Entry]) -> dict[str, Any]:
    values = [entry.value(objective.name) for entry in entries]
    if objective.name == "error":
        return _error_axis(values)
    return {"title_text": title_of(objective), **(_logarithmic(values) if objective.log_scale else {})}


def _error_axis(values: Sequence[float | None]) -> dict[str, Any]:
    return {"title_text": _ERROR, "tickformat": "~%", **_logarithmic(values)}


def _logarithmic(values: Sequence[float | None]) -> dict[str, Any]:
    """A logarithmic axis, where the values allow one: an error of 0 would fall off it."""
    return {"type": "log", "dtick": "D2"} if values and all(value is not None and value > 0 for value in values) else {}


def _laid_out(figure: go.Figure, height: int) -> go.Figure:
    figure.update_layout(
        template="plotly_white",
        height=height,
        margin={"l": 70, "r": 20, "t": 40, "b": 60},
        legend={"orientation": "h", "y": 1.0, "yanchor": "bottom", "x": 1.0, "xanchor": "right"},
        hoverlabel={"align": "left"},
    )
    return figure
