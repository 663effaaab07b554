"""Kill a short search at random moments and resume it: the finished run must equal the uninterrupted one.

    python -m tests.faults.kill_and_resume --times 50        prints "50 of 50 equal"
    python -m tests.faults.kill_and_resume --rungs           the same with children that are stopped early

Every other time the whole process group is killed, else the main process alone (its workers must then die by themselves).
MACs stand in for latency, so that every value is deterministic.
"""

import argparse
import contextlib
import multiprocessing
import os
import random
import signal
import sys
import tempfile
import time
from multiprocessing.process import BaseProcess
from pathlib import Path

from hwnas.config import make_config
from hwnas.experiment import resume, start
from hwnas.store import RunStore

CONFIG = {
    "objectives": ("error", "parameters", "macs", "sensitivity"),
    "lemonade": {"proposals": 16, "accepted": 3},
    "budget": {"generations": 3, "images_per_child": 1600},
}


WITH_RUNGS = {
    **CONFIG,
    "lemonade": {"proposals": 16, "accepted": 4},
    "rungs": {"enabled": True, "shares": (0.1, 0.3)},
}


def search(folder: Path, rungs: bool) -> None:
    """Start a run, or go on with it where there is one."""
    os.setsid()
    if (folder / "run.sqlite").exists():
        resume(folder)
    else:
        start(make_config(WITH_RUNGS if rungs else CONFIG), folder)


def searching(folder: Path, *, rungs: bool = False) -> BaseProcess:
    """A process of its own group that searches; forked from a server that has imported everything, to save time."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["hwnas.experiment"])
    process = context.Process(target=search, args=[folder, rungs])
    process.start()
    return process


def finished(folder: Path, *, rungs: bool = False) -> dict[str, object]:
    """The content of a run after it was left to work to its end."""
    process = searching(folder, rungs=rungs)
    process.join()
    if process.exitcode != 0:
        raise RuntimeError(f"the search in {folder} failed")
    return content(folder)


def content(folder: Path) -> dict[str, object]:
    """All of a finished run that must not depend on how often it was interrupted."""
    with RunStore.open(folder, write=False) as store:
        rows = list(store.rows())
        for row in rows:
            if row.outcome.status == "finished":
                store.weights(row.outcome.weights)
        return {
            "rows": [
                (r.id, r.parent, r.operator, r.architecture_id, r.outcome.status, r.values, r.outcome.weights, r.final)
                for r in rows
            ],
            "front": store.last_event("ended").payload["front"],
            "generations": [(e.generation, e.payload["front"], e.payload["hypervolume"]) for e in store.events("generation")],
        }


def interrupted(folder: Path, after_s: float, *, group: bool, rungs: bool = False) -> dict[str, object]:
    """The content of a run that was killed after a time, and then resumed to its end."""
    process = searching(folder, rungs=rungs)
    process.join(after_s)
    if group:
        with contextlib.suppress(ProcessLookupError):  # it has ended, or has no group of its own yet
            os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.join()
    return finished(folder, rungs=rungs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rungs", action="store_true")
    arguments = parser.parse_args()
    rng = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        started = time.monotonic()
        whole = finished(folder / "whole", rungs=arguments.rungs)
        took_s, equal = time.monotonic() - started, 0
        for number in range(arguments.times):
            after_s = rng.uniform(0, took_s)
            same = interrupted(folder / str(number), after_s, group=number % 2 == 0, rungs=arguments.rungs) == whole
            equal += same
            state = "equal" if same else "NOT EQUAL"
            print(f"{number + 1}: killed after {after_s:.2f} of {took_s:.2f} s: {state}", file=sys.stderr, flush=True)
    print(f"{equal} of {arguments.times} equal")
    sys.exit(equal != arguments.times)


if __name__ == "__main__":
    main()
