"""Does it pay to steer a search by the expected change that is predicted of networks before they are trained?

Method: digits, 180 s of one core each, one worker, defaults but for ``steering``: the search that is steered and the one that is
not run at once, side by side, each held to a core of its own, seeds 0 to 4; with odd seeds they change cores. The front is
judged by its hypervolume over error (0 to 0.5), log10 parameters (2 to 5.3), log10 latency in ms (-2.3 to 0.3) and log10
expected change (0.5 to 3), normalised to a unit box, by moocore, and over the first three alone. Figures are means of the
paired differences over the seeds with 95 % intervals by Student's t.

- steering_gain: steered minus not, over all four; the goal is that the lower end of its interval is above 0;
- three_objectives: the same over the first three, which must not be worse: the upper end of its interval at least 0;
- predictor: Spearman's rank correlation of predicted and computed expected changes in the steered searches, out of sample.

A seed's row is kept under runs/steering when it is there, and a later start makes those that are missing. ``--quick``: seeds 0
and 1, 60 s each, nothing is kept.

    python benchmarks/steering.py [--quick]
"""

import json
import math
import statistics
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import record
from hwnas_command import front, hwnas
from scipy.stats import t
from side_by_side import side_by_side

from hwnas.pareto import Bounds, hypervolume
from hwnas.store import RunStore

QUESTION = "Does it pay to steer a search by the expected change that is predicted of networks before they are trained?"
WORK = Path(__file__).resolve().parents[1] / "runs" / "steering"
SECONDS, SEEDS = 180, 5
QUICK_SECONDS, QUICK_SEEDS = 60, 2
OBJECTIVES = ("error", "parameters", "latency_ms", "expected_change")
BOX = (
    Bounds(low=0, high=0.5),
    Bounds(low=2, high=5.3, log10=True),
    Bounds(low=-2.3, high=0.3, log10=True),
    Bounds(low=0.5, high=3, log10=True),
)
SIDES = ("steered", "not_steered")


def main() -> None:
    arguments = record.parser("steering", QUESTION).parse_args()
    stamp = record.machine()
    seconds, seeds = (QUICK_SECONDS, QUICK_SEEDS) if arguments.quick else (SECONDS, SEEDS)
    rows = [row_of(seed, seconds, kept=not arguments.quick) for seed in range(seeds)]
    results = judged(rows)
    goals = [
        record.at_least("steering_gain_low", results["steering_gain"]["low"], 0.0, "share of the box"),
        record.at_least("three_objectives_high", results["three_objectives"]["high"], 0.0, "share of the box"),
    ]
    record.finish(arguments, benchmark="steering", question=QUESTION, results=results, rows=rows, goals=goals, stamp=stamp)


def row_of(seed: int, seconds: int, *, kept: bool) -> dict[str, Any]:
    """The row of a seed: as it is kept, or made now."""
    path = WORK / f"{seed}.json"
    if kept and path.is_file():
        return dict(json.loads(path.read_text(encoding="utf-8")))
    with tempfile.TemporaryDirectory() as scratch:
        row = measured(seed, seconds, Path(scratch))
    if kept:
        WORK.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(row), encoding="utf-8")
    return row


def measured(seed: int, seconds: int, scratch: Path) -> dict[str, Any]:
    """Both searches of a seed."""
    order = SIDES if seed % 2 == 0 else SIDES[::-1]
    commands = {}
    for side in order:
        config = scratch / f"{side}.toml"
        config.write_text(f"steering = {json.dumps(side == 'steered')}\n", encoding="utf-8")
        asked = f"--seed {seed} --workers 1 --time-budget {seconds}s --quiet --out".split()
        commands[side] = hwnas("search", "--config", str(config), *asked, str(scratch / side))
    finished = side_by_side(commands, scratch)
    found = {side: judgement(scratch / side) | {"cpu_s": finished[side].cpu_s} for side in SIDES}
    record.progress(f"seed {seed}: " + ", ".join(f"{side} {each['four']:.4f}" for side, each in found.items()))
    return {"seed": seed, "seconds": seconds, **found}


def judgement(folder: Path) -> dict[str, Any]:
    """What the front of a run is worth, and how well its expected changes were predicted."""
    members = [[member[name] for name in OBJECTIVES] for member in front(folder)]
    with RunStore.open(folder, write=False) as store:
        told = store.last_event("change_predictor")
        trained = len([outcome for outcome in store.outcomes() if outcome.status == "finished"])
    return {
        "four": hypervolume(members, BOX),
        "three": hypervolume([member[:3] for member in members], BOX[:3]),
        "front": members,
        "trained": trained,
        "predictor": None if told is None else told.payload["so_far"],
    }


def judged(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The paired differences over the seeds."""
    correlations = [row["steered"]["predictor"]["spearman"] for row in rows if row["steered"]["predictor"]]
    return {
        "steering_gain": interval([row["steered"]["four"] - row["not_steered"]["four"] for row in rows]),
        "three_objectives": interval([row["steered"]["three"] - row["not_steered"]["three"] for row in rows]),
        "steered": statistics.median(row["steered"]["four"] for row in rows),
        "not_steered": statistics.median(row["not_steered"]["four"] for row in rows),
        "predictor_spearman": statistics.median([each for each in correlations if each is not None] or [math.nan]),
    }


def interval(differences: Sequence[float]) -> dict[str, float]:
    """The mean of paired differences (n,), n at least 2, and its 95 % interval by Student's t."""
    mean = statistics.fmean(differences)
    half = float(t.ppf(0.975, len(differences) - 1)) * statistics.stdev(differences) / math.sqrt(len(differences))
    return {"mean": mean, "low": mean - half, "high": mean + half}


if __name__ == "__main__":
    main()
