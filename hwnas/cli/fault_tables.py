"""The tables that ``hwnas faults`` prints."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hwnas.campaign import FaultReport
    from hwnas.resilience import Difference, Estimate

Table = tuple[list[str], list[list[str]]]
FIRST = 3  # layers of each network
PAIRS = 6  # networks: of more, each one's standing is shown; every pair is in the JSON file
WIDE_POINTS = 5.0  # an interval from nothing, or less, to more than this says nothing (our choice)
WIDE_SHARE = 0.5  # and so does that of a share of all harm that is wider than half
TOO_WIDE = "?"
NOTHING = 1e-9  # what rounding leaves of sums that are 0


def tables(report: "FaultReport") -> list[Table]:
    """The tables that have something to say: figures, bit groups, pairs of networks."""
    compared = comparison_table if len(report.networks) <= PAIRS else standing_table
    found = (summary_table(report), device_table(report), group_table(report), protect_table(report), compared(report))
    return [_without_empty_columns(table) for table in found if table[1]]


def _without_empty_columns(table: Table) -> Table:
    names, rows = table
    filled = [place for place in range(len(names)) if any(row[place] for row in rows)]
    return [names[place] for place in filled], [[row[place] for place in filled] for row in rows]


def remarks(report: "FaultReport", faults: Sequence[str], half_width: float = math.inf) -> list[str]:
    """What the tables leave open; ``half_width`` was asked for, in points."""
    untaught = [network.model for network in report.networks if "ber" in faults and network.curve is None]
    left_out = [f"{model} is right no more often than by chance: it has no accuracy-BER curve." for model in untaught]
    for network in report.networks:
        if network.single is not None and network.single.drop.half_width > half_width:
            left_out.append(
                f"{network.model}: the mean drop stopped at the limit of {network.single.faults:,} faults, known to "
                f"{network.single.drop.half_width:.2g} points only."
            )
        if network.curve is not None and network.curve.limited:
            left_out.append(
                f"{network.model}: the area stopped at the limit of {network.curve.trials} trials, known to "
                f"{100 * network.curve.summary.area.half_width:.2g} points only."
            )
    for network in report.networks:
        if "stuck-at" in faults and network.single is not None:
            share = _share(network.single.effective)
            left_out.append(f"{network.model}: {share} % of the stuck bits were stuck at another level than they had.")
    if len(report.networks) > PAIRS and (report.by_drop or report.by_area):
        left_out.append("Every pair of networks, with its difference and its interval, is in the file of --json.")
    return left_out


def legend(report: "FaultReport") -> list[str]:
    """How to read the tables, a line for each word that is in one of them."""
    words = ["points: percentage points of accuracy; [..]: 95 % interval"]
    if any(network.single is not None for network in report.networks):
        words += [
            "drop of one fault: what one fault costs on average; less is better",
            "changed (CCR): answers that one fault changes; critical: faults that cost more than a point; "
            "DUE: answers with outputs that are NaN or infinite, which a program can notice",
            f"{TOO_WIDE}: the interval reaches from nothing to more than {WIDE_POINTS:g} points, or over half of all; "
            "--half-width 0.1 tells more",
            "device at 1e-6: the drop where one bit in a million is faulty; a smaller network has fewer bits to hit",
        ]
    if any(network.curve is not None for network in report.networks):
        words += [
            "area: accuracy kept over all bit error rates, 1 all and 0 none; more is better. "
            "half at BER: the rate at which half of what is better than guessing is lost; higher is better",
        ]
    if protect_table(report)[1]:
        words += [
            "share of expected change: of the harm that flips are expected to do, computed from the trained weights; "
            "of measured change: of the answers that the faults of the campaign changed"
        ]
    if report.by_drop or report.by_area:
        words += ["p after Holm: corrected for the many comparisons; real: yes where p is below 0.05"]
    return words


def summary_table(report: "FaultReport") -> Table:
    """What one fault does, a line a network; intervals are 95 %, points are of accuracy: 1 is one image in a hundred."""
    rows = []
    for network in report.networks:
        cells, single = [network.model, f"{network.clean_error:.2%}"], network.single
        if single is not None:
            shares = [_share(share) for share in (single.changed, single.critical, single.unrecoverable)]
            rows.append([*cells, _points(single.drop), *shares, str(single.faults)])
    return ["model", "clean error", "drop of one fault, points", "changed (CCR) %", "critical %", "DUE %", "faults"], rows


def device_table(report: "FaultReport") -> Table:
    """What a device of this memory size loses at a rate of faults, and the accuracy-BER curve."""
    rows = []
    for network in report.networks:
        single, curve = network.single, network.curve
        device = "" if single is None else _points(single.device_drop)
        area, half, trials = "", "", ""
        if curve is not None:
            area, trials = _interval(curve.summary.area, "{:.3f}"), f"{curve.trials}{' (limit)' if curve.limited else ''}"
            half_ber, largest = curve.summary.half_ber, max(curve.bers)
            half = f"above {largest:.0e}" if math.isinf(half_ber.value) else _interval(half_ber, "{:.1e}")
        rows.append([network.model, f"{network.clean_error:.2%}", device, area, half, trials])
    return ["model", "clean error", "device at 1e-6, points", "area", "half at BER", "trials"], rows


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
            rows.append([network.model, *(_known(drops.get(group)) for group in groups)])
    return ["model", *groups], rows


def protect_table(report: "FaultReport") -> Table:
    """The layers of each network that flips are expected to harm most, and what faults there were found to do.

    Of networks whose gradients are not known, the layers where most answers were changed.
    """
    rows = []
    for network in report.networks if len(report.networks) <= PAIRS else ():
        parts = network.single.parts if network.single is not None else ()
        found = {part.layer: part for part in parts if part.group == "all" and part.layer != "all"}
        expected = {each.layer: each.share for each in network.expected}
        shares = expected or {layer: part.share.value for layer, part in found.items() if part.share is not None}
        for number, layer in enumerate(sorted(shares, key=shares.__getitem__, reverse=True)[:FIRST]):
            drop, share = (found[layer].drop, found[layer].share) if layer in found else (None, None)
            rows.append(
                [
                    "" if number else network.model,
                    layer,
                    f"{100 * expected[layer]:.0f} %" if layer in expected else "",
                    _part(share),
                    _known(drop),
                ]
            )
    titles = ["protect first", "layer", "share of expected change", "share of measured change", "drop of one fault there, points"]
    return titles, rows


def _part(share: "Estimate | None") -> str:
    """A share of all harm in per cent, or that it is not known well enough to say anything."""
    if share is None:
        return ""
    return TOO_WIDE if share.high - share.low > WIDE_SHARE else f"{_interval(share.scaled(100), '{:.0f}')} %"


def _known(drop: "Estimate | None") -> str:
    """A drop in points, or that it is not known well enough to say anything."""
    if drop is not None and drop.low <= 0 and drop.high > WIDE_POINTS:
        return TOO_WIDE
    return _points(drop)


def comparison_table(report: "FaultReport") -> Table:
    """Every pair of networks and whether they differ after Holm's correction."""
    names = [network.model for network in report.networks]
    rows = []
    for what, factor, differences in (("drop of one fault", 1.0, report.by_drop), ("area", 100.0, report.by_area)):
        rows += [_pair(what, names, difference, factor) for difference in differences]
    return ["networks", "by", "difference in points", "p after Holm", "real"], rows


def standing_table(report: "FaultReport") -> Table:
    """How many of the other networks each one is really better and worse than, after Holm's correction."""
    rows = []
    for number, network in enumerate(report.networks):
        cells = []
        for differences, better in ((report.by_drop, -1), (report.by_area, 1)):  # a small drop is good, and a large area
            mine = [d for d in differences if number in (d.first, d.second)]
            signs = [better * (1 if d.first == number else -1) * d.estimate.value for d in mine if d.real]
            counts = [sum(sign > 0 for sign in signs), sum(sign < 0 for sign in signs)]
            cells += [str(count) for count in counts] if mine else ["", ""]
        rows.append([network.model, *cells])
    names = ["model", "drop: better than", "worse than", "area: better than", "worse than"]
    return names, rows if report.by_drop or report.by_area else []


def _pair(what: str, names: list[str], difference: "Difference", factor: float) -> list[str]:
    return [
        f"{names[difference.first]} - {names[difference.second]}",
        what,
        _points(difference.estimate.scaled(factor)),
        f"{difference.p_holm:.2g}",
        "yes" if difference.real else "no",
    ]


def _points(estimate: "Estimate | None") -> str:
    return "" if estimate is None else _interval(estimate, "{:.3g}")


def _share(estimate: "Estimate") -> str:
    return _interval(estimate.scaled(100), "{:.3g}")


def _interval(estimate: "Estimate", form: str) -> str:
    numbers = (estimate.value, estimate.low, estimate.high)
    value, low, high = (form.format(0.0 if abs(number) < NOTHING else number) for number in numbers)
    return f"{value} [{low}, {high}]"
