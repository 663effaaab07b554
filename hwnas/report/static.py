"""The main plots of a run as pictures for a paper, by matplotlib: it needs no browser, and its SVG keeps text as text.

Colours are those of the page [Okabe-Ito]: distinguishable for the colour-blind and, by their markers, in print.
"""

import io
from collections.abc import Iterator, Sequence
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from hwnas.objective import Objective
from hwnas.report import payload
from hwnas.report.entry import Entry, entries
from hwnas.report.original import is_original
from hwnas.store import RunStore
from hwnas.store.campaigns import CampaignFigures, read_figures

FORMATS = ("png", "svg")
WIDTH_IN, HEIGHT_IN, DPI = 3.5, 2.6, 300  # one column of a paper
FRONT, OTHER, TRAINED, ORIGINAL = "#0072b2", "#b9c0c6", "#d55e00", "#009e73"
CYCLE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
STYLE: Any = {  # of rcParams
    "font.size": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e6e9eb",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "hwnas",  # the same run gives the same file
}


def pictures(store: RunStore, objectives: Sequence[Objective]) -> Iterator[tuple[str, bytes]]:
    """Names of files and what is in them: error against every other objective, hypervolume over time, campaigns' curves."""
    found = entries(store.rows(), objectives)
    with matplotlib.rc_context(STYLE):
        (error,) = (objective for objective in objectives if objective.name == "error")
        for objective in objectives:
            if objective is not error and any(entry.on_front for entry in found):
                yield from _both(f"error-{objective.name}", _trade_off(found, objective, error))
        progress = payload.progress(store, found)
        if any(value is not None for value in progress["hypervolume"]):
            yield from _both("hypervolume", _hypervolume(progress["used_s"], progress["hypervolume"]))
        curves = [each for each in read_figures(store.folder) if each.curve is not None]
        if curves:
            yield from _both("resilience", _resilience(curves))


def _both(name: str, figure: Figure) -> Iterator[tuple[str, bytes]]:
    for form in FORMATS:
        said = {"Software": "hwnas"} if form == "png" else {"Title": "hwnas", "Creator": "hwnas", "Date": None}
        out = io.BytesIO()
        figure.savefig(out, format=form, dpi=DPI, metadata=said)
        yield f"{name}.{form}", out.getvalue()


def _empty() -> tuple[Figure, Axes]:
    figure = Figure(figsize=(WIDTH_IN, HEIGHT_IN), layout="constrained")
    return figure, figure.add_subplot()


def _trade_off(found: Sequence[Entry], across: Objective, up: Objective) -> Figure:
    figure, axes = _empty()
    finished = [entry for entry in found if entry.status == "finished" and entry.value(across.name) is not None]
    originals = [entry for entry in finished if is_original(entry.row)]
    trained = [entry for entry in finished if entry.is_trained]
    others = [entry for entry in finished if entry not in originals and entry not in trained]
    groups = (
        ("not on the front", [entry for entry in others if not entry.on_front], OTHER, ".", False),
        ("front", [entry for entry in others if entry.on_front], FRONT, "o", True),
        ("trained to the end", trained, TRAINED, "D", True),
        ("original network", originals, ORIGINAL, "*", True),
    )
    for name, members, colour, marker, has_bars in groups:
        if members:
            _points(axes, members, (across, up), colour, marker, has_bars=has_bars, name=name)
    for objective, log in ((across, axes.set_xscale), (up, axes.set_yscale)):
        values = [entry.value(objective.name) or 0.0 for entry in finished]
        if (objective.log_scale or objective.name == "error") and min(values) > 0:
            log("log")
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.set_xlabel(payload.title_of(across))
    axes.set_ylabel(payload.title_of(up))
    axes.legend(fontsize=7)
    return figure


def _points(
    axes: Axes, members: Sequence[Entry], of: tuple[Objective, Objective], colour: str, marker: str, *, has_bars: bool, name: str
) -> None:
    x, y = ([entry.value(objective.name) or 0.0 for entry in members] for objective in of)
    bars = [_half_widths(members, objective) if has_bars else None for objective in of]
    style = {"markersize": 8 if marker == "*" else 4, "linestyle": "none", "elinewidth": 0.6, "alpha": 1.0 if has_bars else 0.5}
    axes.errorbar(x, y, xerr=bars[0], yerr=bars[1], color=colour, marker=marker, label=name, **style)  # type: ignore[arg-type]


def _half_widths(members: Sequence[Entry], objective: Objective) -> list[list[float]] | None:
    """Below and above each value; None where nothing has an interval."""
    ends = [payload.interval_of(entry, objective) for entry in members]
    if not any(ends):
        return None
    values = [entry.value(objective.name) or 0.0 for entry in members]
    below = [max(0.0, value - pair[0]) if pair else 0.0 for value, pair in zip(values, ends, strict=True)]
    above = [max(0.0, pair[1] - value) if pair else 0.0 for value, pair in zip(values, ends, strict=True)]
    return [below, above]


def _hypervolume(used_s: Sequence[float], values: Sequence[float | None]) -> Figure:
    figure, axes = _empty()
    known = [(each / 60, value) for each, value in zip(used_s, values, strict=True) if value is not None]
    axes.step([each for each, _ in known], [value for _, value in known], where="post", color=FRONT)
    axes.set_xlabel("minutes of search")
    axes.set_ylabel("hypervolume")
    axes.set_ylim(0, 1.08 * max(value for _, value in known))
    return figure


def _resilience(campaigns: Sequence[CampaignFigures]) -> Figure:
    figure, axes = _empty()
    for number, campaign in enumerate(campaigns):
        if campaign.curve is None:
            continue
        colour, points = CYCLE[number % len(CYCLE)], campaign.curve.accuracies
        axes.fill_between(campaign.curve.bers, [p.low for p in points], [p.high for p in points], color=colour, alpha=0.2, lw=0)
        name = f"{campaign.model}, {campaign.dtype} {campaign.target}"
        dashes = ("-", "--", ":", "-.")[number // len(CYCLE) % 4]
        axes.plot(campaign.curve.bers, [p.value for p in points], dashes, color=colour, marker="o", ms=3, label=name)
    axes.set_xscale("log")
    axes.set_xlabel("bit error rate")
    axes.set_ylabel("accuracy")
    axes.set_ylim(0, 1)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.legend(fontsize=6)
    return figure
