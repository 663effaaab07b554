"""Does stopping children early find better fronts in the same time?

Method: ``hwnas search`` on digits with its defaults and one worker, with ``--rungs`` and without, for the same seeds and time
budgets, in turns; fronts are judged as in ``search_quality.py``, on latencies measured anew: the hypervolume over error (0 to
0.5), log10 parameters (2 to 5.3) and log10 latency in ms (-2.3 to 0.3). With rungs a child's budget is larger by so much that
as many generations fit into the time. The difference is paired by seed; its 95 % interval is Student's. ``--quick`` runs
seeds 0 and 1 for 60 s.

Command: ``python benchmarks/early_stopping.py``; the last result is in ``results/early_stopping.json``.
"""

import argparse
import statistics
from typing import Any

import record
from scipy import stats
from search_quality import one_search

QUESTION = "What hypervolume does a search on digits reach with children stopped early, and without, in the same time?"
FACTS = ("hypervolume", "best_error", "front_size", "trained", "stopped_early", "images_per_child", "elapsed_s")
VARIANTS = {"off": False, "on": True}
SEEDS = {60: range(5), 180: range(3)}
QUICK = {60: range(2)}


def main() -> None:
    arguments = record.parser("early_stopping", QUESTION).parse_args()
    stamp = record.machine()
    rows = [
        {"rungs": variant, **one_search(seed, budget, rungs={"enabled": enabled})}
        for budget, seeds in (QUICK if arguments.quick else SEEDS).items()
        for seed in seeds
        for variant, enabled in VARIANTS.items()
    ]
    keep(arguments, rows, stamp)


def keep(arguments: argparse.Namespace, rows: list[dict[str, Any]], stamp: dict[str, Any]) -> None:
    budgets = sorted({row["budget_s"] for row in rows})
    record.record(
        benchmark="early_stopping",
        question=QUESTION,
        results={f"{budget}s": summary([row for row in rows if row["budget_s"] == budget]) for budget in budgets},
        rows=rows,
        goals=[],
        command=record.command(),
        quick=arguments.quick,
        stamp=stamp,
        out=arguments.out,
    )


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
