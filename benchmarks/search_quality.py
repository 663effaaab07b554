"""How good a front does a search find on digits, in one and in three minutes, with one worker?

Method: ``hwnas search`` with its defaults, one worker, seeds 0 to 4, time budgets of 60 and 180 s of searching; the front's
latencies are measured again at the end, and the front is judged on these: the hypervolume over error (0 to 0.5), log10
parameters (2 to 5.3) and log10 latency in ms (-2.3 to 0.3), normalised to a unit box, by moocore. The budget counts from the
start of the run, loading and starting the worker included; the final measurement comes on top and is reported beside it.
``--quick`` runs seed 0 for both budgets and seed 1 for 60 s.

Command: ``python benchmarks/search_quality.py``; the last result is in ``results/search_quality.json``.
"""

import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import record

from hwnas.config import make_config
from hwnas.experiment import start
from hwnas.pareto import Bounds, hypervolume
from hwnas.store import RunStore

QUESTION = "What hypervolume does a search on digits reach in 60 s and in 180 s with one worker?"
BOX = (Bounds(low=0, high=0.5), Bounds(low=2, high=5.3, log10=True), Bounds(low=-2.3, high=0.3, log10=True))
BUDGETS = (60, 180)
SEEDS = range(5)
GOALS = {60: 0.76, 180: 0.79}
LEAST_BORN = 4


def main() -> None:
    arguments = record.parser("search_quality", QUESTION).parse_args()
    stamp = record.machine()
    cases = [(0, 60), (1, 60), (0, 180)] if arguments.quick else [(seed, budget) for seed in SEEDS for budget in BUDGETS]
    rows = [one_search(seed, budget) for seed, budget in cases]
    results = {f"{budget}s": summary([row for row in rows if row["budget_s"] == budget]) for budget in BUDGETS}
    goals = [
        record.at_least(f"hypervolume_{budget}s", results[f"{budget}s"]["hypervolume_median"], GOALS[budget], "share of the box")
        for budget in BUDGETS
    ]
    born = min(row["born_by_morphism"] for row in rows)
    if born < LEAST_BORN:
        raise SystemExit(f"a front has only {born} members born by morphism, {LEAST_BORN} are the least")
    record.finish(arguments, benchmark="search_quality", question=QUESTION, results=results, rows=rows, goals=goals, stamp=stamp)


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Medians over the seeds, and the range of the hypervolume."""
    volumes = [row["hypervolume"] for row in rows]
    return {
        "seeds": len(rows),
        "hypervolume_median": statistics.median(volumes),
        "hypervolume_min": min(volumes),
        "hypervolume_max": max(volumes),
        **{
            f"{name}_median": statistics.median(row[name] for row in rows)
            for name in ("best_error", "front_size", "born_by_morphism", "trained", "elapsed_s")
        },
    }


def one_search(seed: int, budget_s: int, **changes: Any) -> dict[str, Any]:
    """One search, with ``changes`` to its configuration, and what its front is worth."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "run"
        started = time.monotonic()
        ended = start(make_config({"seed": seed, "workers": 1, "budget": {"time": budget_s}, **changes}), folder)
        elapsed = time.monotonic() - started
        with RunStore.open(folder, write=False) as store:
            event = store.last_event("ended")
            assert event is not None
            members = [store.row(candidate_id) for candidate_id in event.payload["front"]]
            front = [{**row.values, **row.final} for row in members]
            operators = {row.id: row.operator for row in members}
            images = store.meta("images_per_child")
            stopped = sum(outcome.status == "stopped_early" for outcome in store.outcomes())
    volume = hypervolume([[m["error"], m["parameters"], m["latency_ms"]] for m in front], BOX)
    row = {
        "seed": seed,
        "budget_s": budget_s,
        "hypervolume": volume,
        "elapsed_s": elapsed,
        "trained": ended.trained,
        "stopped_early": stopped,
        "images_per_child": images,
        "front_size": len(front),
        "born_by_morphism": sum(operator != "initial" for operator in operators.values()),
        "best_error": min(m["error"] for m in front),
        "front": [{"id": i, "operator": o, **m} for (i, o), m in zip(operators.items(), front, strict=True)],
    }
    record.progress(f"seed {seed}, {budget_s} s: hypervolume {volume:.3f}, best error {row['best_error']:.4f}")
    return row


if __name__ == "__main__":
    main()
