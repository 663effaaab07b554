"""The tables that ``hwnas faults`` prints."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hwnas.injection import FaultReport, NetworkResult
    from hwnas.resilience import Difference, Estimate

Table = tuple[list[str], list[list[str]]]
HEADINGS = [
    "model",
    "clean error",
    "drop of one flip",
    "changed (CCR)",
    "critical",
    "DUE",
    "device at 1e-6",
    "area",
    "half at BER",
    "faults",
]


def tables(report: "FaultReport") -> list[Table]:
    """The tables that have something to say: figures, bit groups, pairs of networks."""
    return [table for table in (summary_table(report), group_table(report), comparison_table(report)) if table[1]]


def remarks(report: "FaultReport", faults: Sequence[str]) -> list[str]:
    """What the tables leave open."""
    untaught = [network.model for network in report.networks if "ber" in faults and network.curve is None]
    return [f"{model} is right no more often than by chance: it has no accuracy-BER curve." for model in untaught]


def summary_table(report: "FaultReport") -> Table:
    """A line a network; intervals are 95 %, points are of accuracy."""
    return HEADINGS, [_line(network) for network in report.networks]


def group_table(report: "FaultReport") -> Table:
    """The mean drop by bit group of each network: where in a word the damage is done."""
    groups = list(
        dict.fromkeys(
            part.group
            for network in report.networks
            if network.single is not None
            for part in network.single.parts
            if part.layer == "all"
        )
    )
    rows = []
    for network in report.networks:
        if network.single is not None:
            drops = {part.group: part.drop for part in network.single.parts if part.layer == "all"}
            rows.append([network.model, *(_points(drops.get(group)) for group in groups)])
    return ["model", *groups], rows


def comparison_table(report: "FaultReport") -> Table:
    """Every pair of networks and whether they differ after Holm's correction."""
    names = [network.model for network in report.networks]
    rows = []
    for what, factor, differences in (("drop of one flip", 1.0, report.by_drop), ("area", 100.0, report.by_area)):
        rows += [_pair(what, names, difference, factor) for difference in differences]
    return ["networks", "by", "difference in points", "p after Holm", "real"], rows


def _pair(what: str, names: list[str], difference: "Difference", factor: float) -> list[str]:
    return [
        f"{names[difference.first]} - {names[difference.second]}",
        what,
        _points(difference.estimate.scaled(factor)),
        f"{difference.p_holm:.2g}",
        "yes" if difference.real else "no",
    ]


def _line(network: "NetworkResult") -> list[str]:
    single, curve = network.single, network.curve
    cells = [network.model, f"{network.clean_error:.2%}"]
    if single is None:
        cells += [""] * 5
    else:
        shares = [_share(share) for share in (single.changed, single.critical, single.unrecoverable)]
        cells += [_points(single.drop), *shares, _points(single.device_drop)]
    if curve is None:
        cells += ["", ""]
    else:
        cells += [_interval(curve.summary.area, "{:.3f}"), _interval(curve.summary.half_ber, "{:.1e}")]
    return [*cells, str(len(network.rows))]


def _points(estimate: "Estimate | None") -> str:
    return "" if estimate is None else _interval(estimate, "{:.3g}")


def _share(estimate: "Estimate") -> str:
    return _interval(estimate.scaled(100), "{:.3g}") + " %"


def _interval(estimate: "Estimate", form: str) -> str:
    value, low, high = (form.format(number) for number in (estimate.value, estimate.low, estimate.high))
    return f"{value} [{low}, {high}]"
