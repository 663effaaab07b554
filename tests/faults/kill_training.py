"""Kill ``hwnas train`` with -9 at random moments and ask for the same again: the end must equal that of an uninterrupted one.

    python -m tests.faults.kill_training --times 10        prints "10 of 10 equal"

Checkpoints are half a second apart here, not the twenty of a real training, so that many moments between them are met.
"""

import argparse
import contextlib
import multiprocessing
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from multiprocessing.process import BaseProcess
from pathlib import Path

from hwnas.config import make_config
from hwnas.experiment import Wanted, final_training, start, train
from hwnas.store import RunStore
from tests.faults.kill_and_resume import CONFIG, content

MODELS, EPOCHS = ("g0-0", "g0-1"), 100
PART_S = 0.5


def search(folder: Path) -> None:
    """A short search, to the end."""
    start(make_config({**CONFIG, "budget": {"generations": 1, "images_per_child": 1600}}), folder)


def train_on(folder: Path, epochs: int) -> None:
    """Train networks of the run to the end, or go on with that."""
    os.setsid()
    final_training.PART_S = PART_S
    train(folder, Wanted(models=MODELS, epochs=epochs))


def training(folder: Path, epochs: int) -> BaseProcess:
    """A process of its own group that trains."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["hwnas.experiment"])
    process = context.Process(target=train_on, args=[folder, epochs])
    process.start()
    return process


def finished(folder: Path, epochs: int = EPOCHS) -> dict[str, object]:
    """The content of the run when the training was left to work to its end."""
    process = training(folder, epochs)
    process.join()
    if process.exitcode != 0:
        raise RuntimeError(f"the training in {folder} failed")
    return content(folder)


def killed(folder: Path, after_s: float, epochs: int = EPOCHS) -> None:
    """Kill the training and its workers after a time."""
    process = training(folder, epochs)
    process.join(after_s)
    with contextlib.suppress(ProcessLookupError):  # it has ended, or has no group of its own yet
        os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.join()


def checkpoints(folder: Path) -> int:
    """How many networks are between two parts of their training, by what is on the disk."""
    with RunStore.open(folder, write=False) as store:
        return sum(store.checkpoint(row.id) is not None for row in store.rows() if row.is_trained)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    rng = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        search(folder / "searched")
        shutil.copytree(folder / "searched", folder / "whole")
        started = time.monotonic()
        whole = finished(folder / "whole")
        took_s, equal = time.monotonic() - started, 0
        for number in range(arguments.times):
            run, after_s = folder / str(number), rng.uniform(0, took_s)
            shutil.copytree(folder / "searched", run)
            killed(run, after_s)
            underway = checkpoints(run)
            same = finished(run) == whole
            equal += same
            state = "equal" if same else "NOT EQUAL"
            print(
                f"{number + 1}: killed after {after_s:.2f} of {took_s:.2f} s, {underway} checkpoints: {state}",
                file=sys.stderr,
                flush=True,
            )
    print(f"{equal} of {arguments.times} equal")
    sys.exit(equal != arguments.times)


if __name__ == "__main__":
    main()
