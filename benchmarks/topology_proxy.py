"""How well does topology alone, before any training, rank networks by what bit flips do to them?

Found after the fact, on the rows of resilience_proxy.json: T (``exposure``: elements in stored feature maps times their number,
over the parameters) has 0.77 to 0.84 with the measured classification change rate (CCR) of int8 feature maps, where ASI has 0.47
and -0.37. Nothing that was found so is confirmed. Declared here before a network of the two sets below was trained:

Networks: ``fresh_digits``, 64 of 60 to 60,000 parameters, and ``fresh_cifar10``, 64 of 1,000 to 60,000, of another seed than
every set of resilience_proxy.py and none of its networks, grown in the same way; every third has its activations bounded at 2 or
4, in turn, from the beginning. Trained as those sets (digits 16,000 images, CIFAR-10 24,000), from scratch, each alike. What
learns too little to lose it is left out, as there, and counted.

Measured, as there: CCR averaged over bit error rates of a decade each, of int8 activations (PRIMARY, all goals are about it);
int8 and float32 weights, float32 activations, and the CCR of one flip, are reported.

Ranked by: T; ASI; the predictor of a search (hwnas/estimate/change.py) fitted to the computed expected change of int8 activations
of all earlier sets of the same data (digits: ``explored`` and ``digits``, CIFAR-10: ``cifar10`` and ``cifar10_more``), which sees
nothing of the fresh networks but their graphs; and, as yardsticks, the computed expected change (which needs the
training), bits, parameters, MACs. Spearman's rho with a 95 % percentile interval over networks and fault noise, as there.

Goals, each the smaller of the two sets: ``t_spearman`` at least 0.7, ``t_spearman_lower`` (the lower end) at least 0.5,
``predictor_spearman`` (of predicted values with measured CCR) at least 0.85.

A network's row is kept in runs/topology_proxy/ the moment it is there, and a run that was stopped goes on; figures are made when
a set is complete, never from a part of it. ``--quick``: two networks of digits are trained and measured, or, where the result is
stored, all figures are computed again from its rows.

    python benchmarks/topology_proxy.py [--sets fresh_digits,fresh_cifar10] [--processes 2] [--quick]     (full: some three hours)
"""

import argparse
import json
import multiprocessing
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import numpy as np
import record
from proxy_networks import SETS, networks
from proxy_rows import TARGETS, loaded, one_row
from resilience_proxy import MEASURES, RESAMPLES, bootstrapped, interval, line, reliability, stored_rows

from hwnas.estimate.change import ChangePredictor
from hwnas.graph import Graph, from_json, to_json
from hwnas.resilience import correlate, exposure, spearman

QUESTION = "How well does topology alone, before any training, rank networks by what bit flips do to them?"
EARLIER: Mapping[str, tuple[str, ...]] = {"fresh_digits": ("explored", "digits"), "fresh_cifar10": ("cifar10", "cifar10_more")}
PRIMARY = "int8 activations"
WORK = Path(__file__).resolve().parents[1] / "runs" / "topology_proxy"
QUICK = 2
NAMES = ("exposure", "sensitivity", "predicted", "expected_change", "bits", "parameters", "macs")


def main() -> None:
    arguments = parsed()
    stamp, earlier = record.machine(), stored_rows()
    path = record.RESULTS / "topology_proxy.json"
    if arguments.quick and path.exists():
        rows = json.loads(path.read_text(encoding="utf-8"))["rows"]
    elif arguments.quick:
        rows = [
            one_row("fresh_digits", place, to_json(graph)) for place, graph in enumerate(fresh("fresh_digits", earlier)[:QUICK])
        ]
        record.progress("\n".join(map(line, rows)))
    else:
        rows = [row for name in arguments.sets for row in measured(name, earlier, arguments.processes)]
    complete = [name for name in EARLIER if sum(row["set"] == name for row in rows) == SETS[name].count]
    found = {name: of_set(name, [row for row in rows if row["set"] == name], earlier) for name in complete}
    primary = [found[name]["tables"][f"{PRIMARY} ccr"] for name in complete] if len(complete) == len(EARLIER) else []
    least = {
        "t_spearman": min((table["exposure"]["value"] for table in primary), default=None),
        "t_spearman_lower": min((table["exposure"]["low"] for table in primary), default=None),
        "predictor_spearman": min((table["predicted"]["value"] for table in primary), default=None),
    }
    goals = [
        record.at_least(name, least[name], goal, "Spearman's rho")
        for name, goal in (("t_spearman", 0.7), ("t_spearman_lower", 0.5), ("predictor_spearman", 0.85))
    ]
    record.finish(
        arguments, benchmark="topology_proxy", question=QUESTION, results={"sets": found}, goals=goals, rows=rows, stamp=stamp
    )


def parsed() -> argparse.Namespace:
    parser = record.parser("topology_proxy", QUESTION)
    parser.add_argument("--sets", default=",".join(EARLIER), help="the sets that are measured, or gone on with")
    parser.add_argument("--processes", type=int, default=1, help="networks trained and measured at a time")
    arguments = parser.parse_args()
    arguments.sets = arguments.sets.split(",")
    if unknown := set(arguments.sets) - set(EARLIER):
        parser.error(f"unknown set {', '.join(unknown)}; known are {', '.join(EARLIER)}")
    return arguments


def fresh(name: str, earlier: Sequence[Mapping[str, Any]]) -> list[Graph]:
    """The networks of a set; none of them is in an earlier set."""
    data = loaded(SETS[name].data)
    return networks(SETS[name], data.shape, len(data.classes), [from_json(row["graph"]) for row in earlier])


def measured(name: str, earlier: Sequence[Mapping[str, Any]], processes: int) -> list[dict[str, Any]]:
    """The rows of a set; those that a stopped run left are taken as they are."""
    graphs, folder = fresh(name, earlier), WORK / name
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / f"{place}.json" for place in range(len(graphs))]
    missing = [place for place, file in enumerate(files) if not file.exists()]
    with ProcessPoolExecutor(processes, multiprocessing.get_context("spawn")) as pool:
        waiting = [pool.submit(one_row, name, place, to_json(graphs[place])) for place in reversed(missing)]
        for number, done in enumerate(as_completed(waiting), 1):
            row = done.result()
            record.write(files[row["place"]], record.as_json(row))
            record.progress(f"{number} of {len(missing)}: {line(row)}")
    rows = [json.loads(file.read_text(encoding="utf-8")) for file in files]
    if any(from_json(row["graph"]) != graph for row, graph in zip(rows, graphs, strict=True)):
        raise SystemExit(f"{folder} holds other networks than this version makes; move it away")
    return rows


def of_set(name: str, rows: Sequence[Mapping[str, Any]], earlier: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Every table of a set."""
    usable = [row for row in rows if "left_out" not in row]
    known = [row for row in earlier if row["set"] in EARLIER[name] and "left_out" not in row]
    known = [row for row in known if "left_out" not in row["scenarios"][PRIMARY]]
    predictor = ChangePredictor.fit(
        [from_json(row["graph"]) for row in known], [row["scenarios"][PRIMARY]["expected_change"] for row in known]
    )
    tables = {
        f"{dtype} {target} {measure}": table(usable, predictor, f"{dtype} {target}", dtype, measure)
        for dtype in SETS[name].formats
        for target in TARGETS
        for measure in MEASURES
        if measure != "loss"
    }
    for key, found in tables.items():
        record.progress(f"{name}, {key}: " + ", ".join(f"{column} {found[column]['value']:.2f}" for column in NAMES))
    return {
        "networks": len(usable),
        "left_out": {row["place"]: row["left_out"] for row in rows if "left_out" in row},
        "fitted_to": len(known),
        "tables": tables,
    }


def table(rows: Sequence[Mapping[str, Any]], predictor: ChangePredictor, key: str, dtype: str, measure: str) -> dict[str, Any]:
    """Spearman's rho of each column with one measured figure, and how reliable that is."""
    rows = [row for row in rows if "left_out" not in row["scenarios"][key]]
    found = [row["scenarios"][key] for row in rows]
    target = np.array([each[measure] for each in found])
    rng = np.random.default_rng(0)
    noise = np.array([bootstrapped(each, dtype, measure, rng) for each in found])
    graphs = [from_json(row["graph"]) for row in rows]
    columns = {
        "exposure": [exposure(graph) for graph in graphs],
        "predicted": [predictor.predict(graph) for graph in graphs],
        "expected_change": [each["expected_change"] for each in found],
        "bits": [each["bits"] for each in found],
        **{name: [row[name] for row in rows] for name in ("sensitivity", "parameters", "macs")},
    }
    answer: dict[str, Any] = {"networks": len(rows)}
    for name in NAMES:
        values = np.array(columns[name], float)
        rho = correlate(spearman, values, target, np.random.default_rng(2), target_noise=noise, resamples=RESAMPLES)
        answer[name] = interval(rho)
    return answer | (reliability(found) if measure == "ccr" else {})


if __name__ == "__main__":
    main()
