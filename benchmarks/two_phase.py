"""Does a child of an approximate morphism learn better in two phases: first what the operator touched alone, then all of it?

Authors' patent: in a first, distilling phase of a child's training the layers that the operator did not touch are frozen. In
hwnas the setting ``[trainer] two_phase``; what was touched is hwnas/morphism/touched.py's definition.

Declared before a pair was trained. A pair: a parent (a random network of proxy_networks.py's kind, 200 to 60,000 parameters on
digits, 1,000 to 60,000 on CIFAR-10, trained from scratch: 8,000 and 12,000 images), one approximate operator at one of its
sites, in turn remove_layer, separable, prune and remove_skip, the weights inherited once. Both children train from these weights
on the same images in the same order, with the parent as teacher, as a search does by default (a quarter of the steps distils;
4,000 images on digits, 8,000 on CIFAR-10), one of them in two phases. 200 pairs on digits, 100 on CIFAR-10; a parent serves one
pair. An operator without a site in a parent is left out and the next one in turn is taken. A training that diverges counts as
an error of guessing.

Figures: for each data set, all operators and each, the median over pairs of the validation error in one phase minus that in two,
in points (above 0: two phases are better), with the 95 % interval of the median (order statistics).

Goals: ``two_phase_gain`` for remove_layer and for separable, on both data sets: lower ends of their intervals at least 0 and
medians above it; else it stays off and docs/methods.md says so.

A pair's row is kept in runs/two_phase/ the moment it is there, and a run that was stopped goes on; figures are made when a set is
complete, never from a part of it. ``--quick``: four pairs of digits, or, where the result is stored, its figures again.

    python benchmarks/two_phase.py [--sets digits,cifar10] [--processes 2] [--quick]      (full: some four hours)
"""

import argparse
import json
import multiprocessing
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import record
import torch
from proxy_networks import CIFAR10, NetworkSet, networks
from proxy_rows import loaded
from scipy import stats

from hwnas.data import Augmentation, DataSet, DataSettings, normalise
from hwnas.errors import DivergedError
from hwnas.graph import Graph, from_json, to_json
from hwnas.morphism.catalogue import OPERATORS
from hwnas.morphism.from_scratch import from_scratch
from hwnas.morphism.inheritance import Calibrated, Morphed
from hwnas.morphism.touched import touched
from hwnas.network import Network, State, transfer
from hwnas.training import CALIBRATION_IMAGES, TrainerSettings, calibrate, evaluate, train

QUESTION = "Does a child of an approximate morphism learn better in two phases: first what the operator touched, then all of it?"
IN_TURN = ("remove_layer", "separable", "prune", "remove_skip")
JUDGED = ("remove_layer", "separable")
WORK = Path(__file__).resolve().parents[1] / "runs" / "two_phase"
QUICK = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairs:
    """Pairs on one data set: their parents, and how many images a child is trained on."""

    parents: NetworkSet
    images: int


SETS = {
    "digits": Pairs(
        parents=NetworkSet(
            data=DataSettings(seed=6), seed=6, count=200, smallest=200, largest=60_000, images=8_000,
            batch_size=16, worst_error=1.0,
        ),
        images=4_000,
    ),
    "cifar10": Pairs(
        parents=NetworkSet(
            data=DataSettings(source=str(CIFAR10)), seed=7, count=100, smallest=1_000, largest=60_000, images=12_000,
            batch_size=32, worst_error=1.0,
        ),
        images=8_000,
    ),
}  # fmt: skip


def main() -> None:
    arguments = parsed()
    stamp, path = record.machine(), record.RESULTS / "two_phase.json"
    if arguments.quick and path.exists():
        rows = json.loads(path.read_text(encoding="utf-8"))["rows"]
    elif arguments.quick:
        rows = [pair("digits", place, to_json(graph)) for place, graph in enumerate(parents("digits")[:QUICK])]
        record.progress("\n".join(map(str, rows)))
    else:
        rows = [row for name in arguments.sets for row in measured(name, arguments.processes)]
    complete = [name for name in SETS if sum(row["set"] == name for row in rows) == SETS[name].parents.count]
    results = {name: of_set([row for row in rows if row["set"] == name]) for name in complete}
    goals = [
        record.at_least(f"two_phase_gain_{operator}", gain(results, operator), 0, "points, the least lower end of both data sets")
        for operator in JUDGED
    ]
    record.finish(arguments, benchmark="two_phase", question=QUESTION, results=results, goals=goals, rows=rows, stamp=stamp)


def parsed() -> argparse.Namespace:
    parser = record.parser("two_phase", QUESTION)
    parser.add_argument("--sets", default=",".join(SETS), help="the sets that are measured, or gone on with")
    parser.add_argument("--processes", type=int, default=1, help="pairs at a time")
    arguments = parser.parse_args()
    arguments.sets = arguments.sets.split(",")
    if unknown := set(arguments.sets) - set(SETS):
        parser.error(f"unknown set {', '.join(unknown)}; known are {', '.join(SETS)}")
    return arguments


def parents(name: str) -> list[Graph]:
    """The parents of a set's pairs."""
    data = loaded(SETS[name].parents.data)
    return networks(SETS[name].parents, data.shape, len(data.classes))


def measured(name: str, processes: int) -> list[dict[str, Any]]:
    """The rows of a set; those that a stopped run left are taken as they are."""
    graphs, folder = parents(name), WORK / name
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / f"{place}.json" for place in range(len(graphs))]
    missing = [place for place, file in enumerate(files) if not file.exists()]
    with ProcessPoolExecutor(processes, multiprocessing.get_context("spawn")) as pool:
        waiting = [pool.submit(pair, name, place, to_json(graphs[place])) for place in reversed(missing)]
        for number, done in enumerate(as_completed(waiting), 1):
            row = done.result()
            record.write(files[row["place"]], record.as_json(row))
            record.progress(f"{number} of {len(missing)}: {row}")
    return [json.loads(file.read_text(encoding="utf-8")) for file in files]


def pair(name: str, place: int, graph_json: str) -> dict[str, Any]:
    """One parent, one child of it, trained in one phase and in two."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    chosen, graph = SETS[name], from_json(graph_json)
    data, settings = loaded(chosen.parents.data), TrainerSettings(batch_size=chosen.parents.batch_size)
    operator, made = child_of(graph, place, np.random.default_rng([chosen.parents.seed, place]))
    row: dict[str, Any] = {"set": name, "place": place, "operator": operator}
    generator = torch.Generator().manual_seed(chosen.parents.training_seed(place))
    parent = Network(graph, transfer([(graph, from_scratch(graph))], {}, generator))
    try:
        train(parent, data, settings=settings, augmentation=Augmentation(), images=chosen.parents.images, generator=generator)
    except DivergedError:
        return row | {"left_out": "the parent's training diverged"}
    row["parent_error"] = evaluate(parent, data, data.validation).error
    first = touched(graph, [(made.graph, made.inheritance)])
    state = inherited(made, parent.state(), data, generator)
    row["touched"] = sum(state[each].numel() for each in first) / sum(state[each].numel() for each in made.graph.parameters())
    for phases, alone in (("one", frozenset[str]()), ("two", first)):
        row[phases] = error_of(made.graph, state, parent, data, settings, chosen, place, alone)
    return row


def child_of(graph: Graph, place: int, rng: np.random.Generator) -> tuple[str, Morphed]:
    """A child by the operator whose turn it is, or the next one that has a site."""
    for offset in range(len(IN_TURN)):
        name = IN_TURN[(place + offset) % len(IN_TURN)]
        sites = OPERATORS[name].sites(graph)
        if sites:
            return name, OPERATORS[name].apply(graph, sites[int(rng.integers(len(sites)))], rng)
    raise SystemExit(f"no approximate operator has a site in network {place}")


def inherited(made: Morphed, state: State, data: DataSet, generator: torch.Generator) -> State:
    """The child's weights, its new batch norms calibrated."""
    network = Network(made.graph, transfer([(made.graph, made.inheritance)], state, generator))
    new = tuple(part.node for part in made.inheritance.records if isinstance(part, Calibrated))
    if new:
        chosen = torch.randperm(len(data.train), generator=generator)[:CALIBRATION_IMAGES]
        calibrate(network, new, normalise(data.train.images[chosen], data))
    return network.state()


def error_of(
    graph: Graph, state: State, parent: Network, data: DataSet, settings: TrainerSettings, pairs: Pairs, place: int,
    first: frozenset[str],
) -> float:  # fmt: skip
    """The validation error of a child that is trained from ``state``; that of guessing where its training diverges."""
    network = Network(graph, {name: tensor.clone() for name, tensor in state.items()})
    generator = torch.Generator().manual_seed(pairs.parents.training_seed(place) + 1)
    try:
        train(
            network, data, settings=settings, augmentation=Augmentation(), images=pairs.images, generator=generator,
            teacher=parent, first=first,
        )  # fmt: skip
    except DivergedError:
        return 1 - 1 / len(data.classes)
    return evaluate(network, data, data.validation).error


def of_set(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Medians of the gain in points, of all pairs and by operator, with their intervals."""
    usable = [row for row in rows if "left_out" not in row]
    kinds = {"all": usable} | {name: [row for row in usable if row["operator"] == name] for name in IN_TURN}
    return {
        name: median_interval([100 * (row["one"] - row["two"]) for row in some]) for name, some in kinds.items() if len(some) >= 6
    } | {"left_out": len(rows) - len(usable)}


def median_interval(gains: Sequence[float]) -> dict[str, float]:
    """The median and its 95 % interval by order statistics, of at least six."""
    ordered = np.sort(gains)
    place = int(stats.binom.ppf(0.025, len(ordered), 0.5))
    return {
        "median": float(np.median(ordered)), "low": float(ordered[max(0, place - 1)]),
        "high": float(ordered[min(len(ordered) - 1, len(ordered) - place)]), "pairs": len(ordered),
    }  # fmt: skip


def gain(results: Mapping[str, Any], operator: str) -> float | None:
    """The smaller lower end of an operator's two intervals; None before both sets are complete."""
    found = [results[name].get(operator) for name in SETS if name in results]
    return min(each["low"] for each in found) if len(found) == len(SETS) and all(found) else None


if __name__ == "__main__":
    main()
