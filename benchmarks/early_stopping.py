"""Does stopping children early find better fronts, for the same time and for the same training?

Method: searches on digits with the defaults and one worker, with rungs (``on``) and without (``off``), for the same seeds, in
turns. With rungs a child's budget is larger by so much that a generation of children takes as much training as one without.

``time``: the same 60 s or 180 s; fronts are judged as in ``search_quality.py``, on latencies measured again: the hypervolume
over error (0 to 0.5), log10 parameters (2 to 5.3) and log10 latency in ms (-2.3 to 0.3). ``training``: the same number of
generations and of images over the whole run (the initial networks, which no rung stops, included), 3,200 a child without rungs,
MACs (log10, 2 to 6) in place of latency: nothing in it depends on how busy the machine is.
Differences (on minus off) are paired by seed; their 95 % interval is Student's.
``--quick`` runs seeds 0 and 1 for 60 s and one third of the training; ``--training`` leaves out what depends on the machine.

Last result (beside other work at lowest priority): no difference that its interval lets one see, in any of the three; the fronts
with rungs have half as many members, as a child that is stopped is none. So rungs are off by default.

Command: ``python benchmarks/early_stopping.py``; the last result is in ``results/early_stopping.json``.
"""

import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import record
from scipy import stats
from search_quality import BOX, one_search

from hwnas.config import make_config
from hwnas.experiment import start
from hwnas.objectives import objectives_named
from hwnas.pareto import Bounds, hypervolume
from hwnas.report import entries
from hwnas.search import LemonadeSettings, Rungs
from hwnas.spaces import initial_graphs
from hwnas.store import RunStore

QUESTION = "What hypervolume does a search on digits reach with children stopped early and without, all else the same?"
VARIANTS = {"off": False, "on": True}
SECONDS = {60: range(5), 180: range(3)}
GENERATIONS, IMAGES, SEEDS = 14, 3200, range(5)
OBJECTIVES = ("error", "parameters", "macs", "sensitivity")
TRAINING_BOX = (BOX[0], BOX[1], Bounds(low=2, high=6, log10=True))
FACTS = ("hypervolume", "best_error", "front_size", "trained", "stopped_early", "images_per_child", "elapsed_s")


def main() -> None:
    parser = record.parser("early_stopping", QUESTION)
    parser.add_argument("--training", action="store_true", help="compare for the same training alone, not for the same time")
    arguments = parser.parse_args()
    stamp = record.machine()
    seconds, seeds, generations = ({60: range(2)}, range(2), 5) if arguments.quick else (SECONDS, SEEDS, GENERATIONS)
    if arguments.training:
        seconds = {}
    rows = [
        {"case": "training", "rungs": variant, **equal_training(seed, generations, enabled)}
        for seed in seeds
        for variant, enabled in VARIANTS.items()
    ]
    rows += [
        {"case": f"time_{budget}s", "rungs": variant, **one_search(seed, budget, rungs={"enabled": enabled})}
        for budget, of_budget in seconds.items()
        for seed in of_budget
        for variant, enabled in VARIANTS.items()
    ]
    cases = dict.fromkeys(row["case"] for row in rows)
    results = {case: summary([row for row in rows if row["case"] == case]) for case in cases}
    record.finish(arguments, benchmark="early_stopping", question=QUESTION, results=results, rows=rows, goals=[], stamp=stamp)


def equal_training(seed: int, generations: int, enabled: bool) -> dict[str, Any]:
    """One search of so many generations, and what its front is worth; every value but the time follows from the seed."""
    initial, children = len(initial_graphs((1, 8, 8), 10)), generations * LemonadeSettings().accepted
    trained = initial + children * (Rungs().trained_share if enabled else 1)  # in budgets of one network
    images = round(IMAGES * (initial + children) / trained)
    budget = {"generations": generations, "images_per_child": images}
    config = make_config({"seed": seed, "objectives": OBJECTIVES, "budget": budget, "rungs": {"enabled": enabled}})
    with tempfile.TemporaryDirectory() as scratch:
        folder, started = Path(scratch) / "run", time.monotonic()
        start(config, folder)
        elapsed_s = time.monotonic() - started
        with RunStore.open(folder, write=False) as store:
            found = entries(store.rows(), objectives_named(OBJECTIVES))
    front = [entry.row.values for entry in found if entry.on_front]
    row = {
        "seed": seed,
        "hypervolume": hypervolume([[m["error"], m["parameters"], m["macs"]] for m in front], TRAINING_BOX),
        "best_error": min(m["error"] for m in front),
        "front_size": len(front),
        "trained": len(found),
        "stopped_early": sum(entry.status == "stopped_early" for entry in found),
        "images_per_child": images,
        "images": sum(entry.row.values.get("images", 0) for entry in found),
        "elapsed_s": elapsed_s,
        "front": [dict(m) for m in front],
    }
    record.progress(f"seed {seed}, rungs {enabled}, {row['images']:,.0f} images: hypervolume {row['hypervolume']:.4f}")
    return row


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Medians over the seeds with and without rungs, and the paired difference of the hypervolumes, on minus off."""
    by_variant = {variant: [row for row in rows if row["rungs"] == variant] for variant in VARIANTS}
    volumes = {variant: [row["hypervolume"] for row in found] for variant, found in by_variant.items()}
    differences = [on - off for on, off in zip(volumes["on"], volumes["off"], strict=True)]
    half = stats.t.ppf(0.975, len(differences) - 1) * statistics.stdev(differences) / len(differences) ** 0.5
    return {
        "seeds": len(differences),
        "difference_mean": statistics.mean(differences),
        "difference_ci": half,
        "on_better": sum(difference > 0 for difference in differences),
        **{
            variant: {f"{name}_median": statistics.median(row[name] for row in found) for name in FACTS}
            for variant, found in by_variant.items()
        },
    }


if __name__ == "__main__":
    main()
