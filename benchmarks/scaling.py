"""Do two workers train twice as much as one, and does a search stay quick as its history and its cluster grow?

Method:

1. The digits start networks are trained by an executor of one worker, one of two (both with the malloc that the product takes:
   tcmalloc where it is installed), and others of two whose malloc is another (glibc's with the thresholds and as it comes;
   jemalloc where it is installed), in turn, several rounds; a full run does the same on the start networks for 32 x 32 images.
   ``two_workers`` is the median ratio of images per second, ``training_share`` the time in the training loop over workers x
   time: evaluation, and the way to and from a worker, count as not training.
2. A machine that is not quiet shows in these. A round counts as quiet where in both phases other processes and the hypervisor
   took at most 4 % of the machine; where three rounds are, the figures are over these alone, and ``quiet`` is true.
   ``lost_to_contention`` is how much more CPU time the same children took beside a second worker, ``ceiling`` what two processes
   that share nothing reach on this machine. Allocators are compared by CPU time, too: it leaves out waiting for a core.
3. LEMONADE is told up to 10^5 different networks, of which about 2,000 are on the front; ``add_ms`` is the median tell at 10^5,
   ``ask_ms`` the median ask there, the predictor's fit included, less the morphisms themselves: wall time, CPU time beside it.
4. A cluster of 1 to 1,024 workers is simulated with the training times of 1.

The parts: ``worker_throughput.py``, ``machine_ceiling.py``, ``long_history.py``, ``simulated_cluster.py``.

Command: ``python benchmarks/scaling.py``; the last result is in ``results/scaling.json``.
"""

import statistics
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import record
import torch
from long_history import disk_costs, history_costs
from machine_ceiling import ceilings
from simulated_cluster import CLUSTER, idle_shares
from worker_throughput import digits_children, large_children, setups, training_rounds

QUESTION = "Do two workers train twice as much as one, and what do a long history and many workers cost?"
QUIET_SHARE = 0.04  # of the machine, that others may take
LEAST_QUIET = 3  # rounds


def main() -> None:
    arguments = record.parser("scaling", QUESTION).parse_args()
    stamp = record.machine()
    torch.set_num_threads(1)
    disk = disk_costs(200 if arguments.quick else 1000)
    history = history_costs(asks=7 if arguments.quick else 15)
    ceiling = ceilings(pairs=3 if arguments.quick else 7)
    rows = list(all_rounds(quick=arguments.quick))
    cases = dict.fromkeys(row["case"] for row in rows)
    training = {case: summary([row for row in rows if row["case"] == case]) for case in cases}
    times = [seconds for row in rows if row["case"] == "digits" and row["setup"] == "one" for seconds in row["train_seconds"]]
    digits = training["digits"]
    record.finish(
        arguments,
        benchmark="scaling",
        question=QUESTION,
        results={
            "ceiling": ceiling,
            "training": training,
            "history": history,
            "disk": disk,
            "cluster": [idle_shares(times, workers) for workers in CLUSTER],
        },
        rows=rows,
        goals=[
            record.at_least("two_workers", digits["two_workers"], 1.85, "times one worker"),
            record.at_least("training_share", digits["training_share"], 0.9, "share of the workers' time"),
            record.at_most("add_ms", history[-1]["add_ms"], 1, "ms"),
            record.at_most("ask_ms", history[-1]["ask_ms"], 100, "ms"),
        ],
        stamp=stamp,
    )


def all_rounds(*, quick: bool) -> Iterator[dict[str, Any]]:
    """The rows of 1."""
    images, rounds = (4000, 4) if quick else (8000, 16)
    yield from training_rounds("digits", digits_children(images, copies=2), setups(), rounds)
    if not quick:
        with tempfile.TemporaryDirectory() as scratch:
            yield from training_rounds("32x32", large_children(2000, 2, Path(scratch)), setups(), 5)


def summary(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The figures of 1 and 2 for one case, each a median over rounds."""
    rounds: dict[int, dict[str, dict[str, Any]]] = {}
    for row in rows:
        rounds.setdefault(row["round"], {})[row["setup"]] = row
    quiet = [found for found in rounds.values() if all(disturbance(found[name]) <= QUIET_SHARE for name in ("one", "two"))]
    used = quiet if len(quiet) >= LEAST_QUIET else list(rounds.values())
    others = sorted({row["setup"] for row in rows} - {"one", "two"})

    def ratio(upper: str, lower: str, per: str = "wall_s") -> float:
        return statistics.median(rate(found[upper], per) / rate(found[lower], per) for found in used)

    def median(setup: str, name: str) -> float:
        return float(statistics.median(found[setup][name] for found in used))

    return {
        "quiet": used is quiet,
        "rounds": len(rounds),
        "rounds_quiet": len(quiet),
        "rounds_used": len(used),
        "two_workers": ratio("two", "one"),
        "two_workers_of_each_round": [rate(found["two"]) / rate(found["one"]) for found in rounds.values()],
        "training_share": median("two", "training_share"),
        "training_share_of_one": median("one", "training_share"),
        "lost_to_contention": 1 / ratio("two", "one", per="cpu_s") - 1,
        "allocators_against_two": {name: ratio(name, "two", per="cpu_s") for name in others},
        "images_per_second": {name: statistics.median(rate(found[name]) for found in used) for name in ("one", "two", *others)},
        **{
            name: {setup: median(setup, name) for setup in ("one", "two")}
            for name in ("waited_share", "others_share", "steal_share", "main_share")
        },
    }


def rate(row: dict[str, Any], per: str = "wall_s") -> float:
    """Images per second of wall time, or of the workers' CPU time."""
    return float(row["images"] / row[per])


def disturbance(row: dict[str, Any]) -> float:
    """What was taken of the machine in a phase that was not ours."""
    return float(row["others_share"] + row["steal_share"])


if __name__ == "__main__":
    main()
