"""Does a front that took the time T dominate textbook networks that together took the time T?

Method: on one machine, side by side, one core each: ``hwnas search --data .. --time-budget T --workers 1 --seed N``, and the
family of textbook.py (three ResNet-8, two MobileNetV2, T / 5 of training each by a tuned recipe), with the same split into
training and validation images. Each process is held to a core of its own, its children too, where the system can do that; CPU
seconds of both are in the rows. Afterwards the front is exported and all networks are measured in one sitting, interleaved, by
hwnas's latency protocol with the same session options. Errors are test errors: the search's are those of its final evaluation.
T is 30 minutes, seeds 0, 1 and 2; figures are medians over the seeds; the first two are goals (definitions: front_goals.py):

- dominated_share: of the textbook networks, those that a member of the front beats or equals in test error and latency;
- error_gain_points: median over the textbook networks of its test error minus the front's least at no more than its latency;
  where no member is as fast, the front counts as guessing there;
- the same with parameters for latency; and strict ones, where validation errors choose the member of the front;
- rank_correlation: Spearman's, of validation errors before and after the final training, of the networks that have both.

A seed's row is kept in results/against_textbook.json when it is there. A full run makes the rows that are missing (half an
hour each; the machine must have nothing else to do), ``--seed N`` makes it again; ``--summarise`` none. ``--data-set gtsrb`` is
the same protocol once on GTSRB, reported without goals. ``--quick``: T is 4 minutes and one seed; nothing is kept.

    python benchmarks/against_textbook.py [--seed N | --summarise] [--data-set gtsrb] [--quick]
"""

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import record
from front_goals import (
    Axis,
    Point,
    dominated_share,
    error_gain_points,
    final_training_pairs,
    rank_correlation,
    strict_error_gain_points,
)
from hwnas_command import candidates, front, hwnas
from side_by_side import side_by_side
from textbook import NETWORKS

from hwnas.device import load_profile, open_device
from hwnas.export import read_manifest

QUESTION = "Does a front that took the time T dominate textbook networks that together took the time T?"
REPOSITORY = Path(__file__).resolve().parents[1]
WORK = REPOSITORY / "runs" / "against_textbook"  # seeds at work; a row that is kept needs nothing of it
SECONDS, QUICK_SECONDS = 1800.0, 240.0
SITTING_ROUNDS, HALF_WIDTH, TIME_LIMIT_S = 3, 0.02, 3.0
SUFFIX: Mapping[Axis, str] = {"latency_ms": "", "parameters": "_parameters"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Data:
    """A data set beside the repository, how its rows are grouped, and the seeds that it is searched with."""

    path: str
    group_by: str | None
    seeds: tuple[int, ...]

    def options(self) -> list[str]:
        """What search and textbook.py are told of it."""
        return ["--data", self.path, *([] if self.group_by is None else ["--group-by", self.group_by])]


DATA_SETS = {
    "cifar10": Data(path="../shared/data/cifar10", group_by=None, seeds=(0, 1, 2)),
    "gtsrb": Data(path="../shared/data/gtsrb", group_by=r"path:^\d+/\d+_", seeds=(0,)),
}


def main() -> None:
    arguments = parsed()
    stamp = record.machine()
    if arguments.quick or arguments.seconds:
        with tempfile.TemporaryDirectory() as scratch:
            seconds = arguments.seconds or QUICK_SECONDS
            rows = [seed_row(arguments.data_set, arguments.seed or 0, seconds, Path(scratch) / "seed")]
        answer(arguments, rows, stamp, kept=False)
        return
    rows = kept_rows()
    seeds = seeds_to_run(arguments, rows)
    for seed in seeds:
        work = WORK / f"{arguments.data_set}-{seed}"
        row = seed_row(arguments.data_set, seed, SECONDS, work)
        rows = [*(other for other in rows if place(other) != place(row)), row]
        answer(arguments, rows, stamp, kept=True)
        shutil.rmtree(work)
    if not rows:
        raise SystemExit("no row is kept yet, so there is nothing to summarise; run a seed first: --seed 0")
    if not seeds:
        answer(arguments, rows, stamp, kept=True)


def parsed() -> argparse.Namespace:
    parser = record.parser("against_textbook", QUESTION)
    parser.add_argument("--data-set", choices=DATA_SETS, default="cifar10")
    parser.add_argument("--seconds", type=float, metavar="T", help="another T, to try the protocol; nothing is kept")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--seed", type=int, metavar="N", help="this seed alone, again")
    which.add_argument("--summarise", action="store_true", help="run nothing, judge the rows that are kept")
    return parser.parse_args()


def kept_rows() -> list[dict[str, Any]]:
    """The rows of earlier runs."""
    path = record.RESULTS / "against_textbook.json"
    rows: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["rows"] if path.exists() else []
    return rows


def place(row: Mapping[str, Any]) -> tuple[str, int]:
    """What a row is of: there is one of each."""
    return row["data_set"], row["seed"]


def seeds_to_run(arguments: argparse.Namespace, rows: Sequence[Mapping[str, Any]]) -> list[int]:
    """The seed that is named, none to summarise, else those of the data set that have no row."""
    if arguments.summarise:
        return []
    if arguments.seed is not None:
        return [arguments.seed]
    done = {place(row) for row in rows}
    return [seed for seed in DATA_SETS[arguments.data_set].seeds if (arguments.data_set, seed) not in done]


def seed_row(data_set: str, seed: int, seconds: float, work: Path) -> dict[str, Any]:
    """Both sides of one seed, and all networks measured; where both sides were done before in ``work``, only the latter."""
    stamp, sides = record.machine(), work / "sides.json"
    if not sides.exists():
        shutil.rmtree(work, ignore_errors=True)  # half a comparison is none
        work.mkdir(parents=True)
        took = side_by_side(commands(DATA_SETS[data_set], seed, seconds, work), REPOSITORY)
        sides.write_text(json.dumps({name: asdict(finished) for name, finished in took.items()}), encoding="utf-8")
    textbook = json.loads((work / "textbook" / NETWORKS).read_text(encoding="utf-8"))
    members, models = exported(work, textbook["data_fingerprint"])
    models |= {row["name"]: (work / "textbook" / row["file"]).read_bytes() for row in textbook["networks"]}
    latencies = sitting(models)
    everyone = candidates(work / "run")
    row = {
        "data_set": data_set,
        "seed": seed,
        "seconds": seconds,
        "machine": stamp,
        "sides": json.loads(sides.read_text(encoding="utf-8")),
        "search_images": sum(candidate["images"] or 0 for candidate in everyone),
        "search_trained": sum(candidate["images"] is not None for candidate in everyone),
        "final_training_pairs": final_training_pairs(everyone),
        "guessing_error": textbook["guessing_error"],
        "textbook": [{**row, **latencies[row["name"]]} for row in textbook["networks"]],
        "front": [{**member, **latencies[member["name"]]} for member in members],
    }
    record.progress(f"{data_set}, seed {seed}: {judged(row)}")
    return row


def commands(data: Data, seed: int, seconds: float, work: Path) -> dict[str, list[str]]:
    """The two sides as one would type them."""
    textbook = REPOSITORY / "benchmarks" / "textbook.py"
    budget = ["--time-budget", f"{seconds:g}s", "--workers", "1", "--seed", str(seed), "--out", str(work / "run")]
    time = ["--seconds", f"{seconds:g}", "--seed", str(seed), "--out", str(work / "textbook")]
    return {
        "search": hwnas("search", *data.options(), *budget),
        "textbook": [sys.executable, str(textbook), *data.options(), *time],
    }


def exported(work: Path, data_fingerprint: str) -> tuple[list[dict[str, Any]], dict[str, bytes]]:
    """The members of the front with a test error, and their ONNX files by name; none of either where nothing was trained.

    Raises SystemExit where the search saw other data, or other splits of them, than the textbook networks.
    """
    found = front(work / "run")
    if not found:
        return [], {}
    bundle = work / "bundle"
    shutil.rmtree(bundle, ignore_errors=True)
    subprocess.run(hwnas("export", str(work / "run"), "--out", str(bundle)), check=True, stdout=subprocess.DEVNULL)
    files = read_manifest(bundle).files
    if any(file.metadata["data_fingerprint"] != data_fingerprint for file in files):
        raise SystemExit(f"the search and the textbook networks saw different data: {data_fingerprint} is the latter's")
    tested = [member for member in found if member["test_error"] is not None]
    renamed = {"id": "name", "error": "validation_error"}
    members = [{renamed.get(name, name): value for name, value in member.items()} for member in tested]
    return members, {file.id: (bundle / file.name).read_bytes() for file in files}


def sitting(models: Mapping[str, bytes]) -> dict[str, dict[str, Any]]:
    """The latency of each model: the median of several measurements, between which all the others were measured."""
    with open_device(load_profile("local-cpu")) as device:
        rounds = [
            {name: device.measure(model, half_width=HALF_WIDTH, time_limit_s=TIME_LIMIT_S) for name, model in models.items()}
            for _ in range(SITTING_ROUNDS)
        ]
    return {
        name: {
            "latency_ms": statistics.median(measured[name].latency_ms for measured in rounds),
            "latency_rounds_ms": [measured[name].latency_ms for measured in rounds],
            "latency_ci_ms": max(measured[name].ci_ms for measured in rounds),
            "quiet": all(measured[name].quiet for measured in rounds),
        }
        for name in models
    }


def judged(row: Mapping[str, Any]) -> dict[str, float]:
    """The figures of one seed."""
    textbook, members = ([Point.from_row(network) for network in row[side]] for side in ("textbook", "front"))
    guessing = row["guessing_error"]
    figures = {}
    for axis, suffix in SUFFIX.items():
        figures[f"dominated_share{suffix}"] = dominated_share(textbook, members, axis)
        figures[f"error_gain_points{suffix}"] = error_gain_points(textbook, members, axis, guessing)
        figures[f"strict_error_gain_points{suffix}"] = strict_error_gain_points(textbook, members, axis, guessing)
    return figures


def summary(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Medians over the seeds of one data set, each seed's figures, and the rank correlations."""
    figures = [judged(row) for row in rows]
    correlations = [rank_correlation(row["final_training_pairs"]) for row in rows]
    known = [correlation.rho for correlation in correlations if correlation.rho is not None]
    return {
        "seeds": [row["seed"] for row in rows],
        "medians": {name: statistics.median(figure[name] for figure in figures) for name in figures[0]},
        "by_seed": figures,
        "rank_correlation": statistics.median(known) if known else None,
        "rank_correlation_networks": sum(correlation.networks for correlation in correlations),
    }


def answer(arguments: argparse.Namespace, rows: Sequence[Mapping[str, Any]], stamp: Mapping[str, Any], *, kept: bool) -> None:
    """Say, and keep, what the rows give; the goals are those of CIFAR-10, unmet as long as a seed is missing."""
    by_data_set = {name: [row for row in rows if row["data_set"] == name] for name in DATA_SETS}
    results = {name: summary(found) for name, found in by_data_set.items() if found}
    cifar10 = results.get("cifar10", {"seeds": [], "medians": {}})
    complete = not kept or set(DATA_SETS["cifar10"].seeds) <= set(cifar10["seeds"])
    medians = cifar10["medians"] if complete else {}
    record.record(
        benchmark="against_textbook",
        question=QUESTION,
        results=results,
        goals=[
            record.at_least("dominated_share", medians.get("dominated_share"), 1.0, "share of networks"),
            record.at_least("error_gain_points", medians.get("error_gain_points"), 1.0, "points"),
        ],
        command=record.command(),
        quick=not kept,
        rows=rows,
        stamp=stamp,
        out=arguments.out,
    )


if __name__ == "__main__":
    main()
