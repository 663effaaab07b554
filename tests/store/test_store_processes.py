"""Several processes on one run, and processes that die."""

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from store_samples import finished, initial, weights_of
from store_writer import SLOTS

from hwnas.errors import RunFolderError
from hwnas.store import RunStore

HERE = Path(__file__).parent


@contextmanager
def writing(folder: Path) -> Iterator["subprocess.Popen[str]"]:
    """A process that writes to the run; it is killed at the end, as by kill -9."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join((str(HERE), str(HERE.parents[1])))}
    with subprocess.Popen(
        [sys.executable, str(HERE / "store_writer.py"), str(folder)], env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def first_told(process: "subprocess.Popen[str]") -> str:
    """The first outcome that the process says is stored."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


def check_whole(store: RunStore, told: set[str]) -> None:
    """Everything told is there with its weights, and each generation as a whole, with its ask."""
    rows = list(store.rows())
    stored = {row.id for row in rows if row.outcome is not None}
    assert told <= stored
    assert len(stored - told) <= 1
    for row in rows:
        if row.outcome is not None and row.outcome.weights is not None:
            assert row.outcome == finished(row.id, store.weights(row.outcome.weights))
    sizes = Counter(row.generation for row in rows)
    assert sizes.pop(0) == 1
    assert set(sizes.values()) <= {SLOTS}
    assert len(list(store.events("ask"))) == 1 + len(sizes)


def test_killed_again_and_again_a_run_is_whole(tmp_path: Path) -> None:
    folder, told = tmp_path / "run", set[str]()
    for delay in np.random.default_rng(0).uniform(0, 0.12, 6):
        with writing(folder) as process:
            told.add(first_told(process))
            assert process.stdout is not None
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(float(delay))
            process.kill()
            lines = process.stdout.read().splitlines(keepends=True)
            told |= {line.strip() for line in lines if line.endswith("\n")}
        with RunStore.open(folder, write=False) as store:
            check_whole(store, told)
            told = {row.id for row in store.rows() if row.outcome is not None}
    with RunStore.open(folder, write=True) as store:
        assert store.collect("all") <= 6
        check_whole(store, told)
        assert not list((folder / "weights").glob("*.tmp"))


def test_a_second_writer_is_refused_and_readers_are_not(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with writing(folder) as process:
        first = first_told(process)
        with pytest.raises(RunFolderError, match=f"is being written by process {process.pid} on"):
            RunStore.open(folder, write=True)
        with pytest.raises(RunFolderError, match="already holds a run"):
            RunStore.create(folder, config="{}", meta={})
        with RunStore.open(folder, write=False) as reader:
            told, seen = {first}, 0
            for _ in range(4):
                stored = {row.id for row in reader.rows() if row.outcome is not None}
                assert told <= stored
                assert len(stored) > seen
                seen = len(stored)
                while len(told) <= seen:  # The writer may be ahead of the lines that were read by as many as the pipe holds.
                    told.add(first_told(process))
    with RunStore.open(folder, write=True) as store:
        assert store.row(first).outcome is not None


def test_a_writer_in_this_process_is_refused_too_until_the_first_closes(tmp_path: Path) -> None:
    first = RunStore.create(tmp_path / "run", config="{}", meta={})
    with pytest.raises(RunFolderError, match=f"process {os.getpid()} on"):
        RunStore.open(tmp_path / "run", write=True)
    first.close()
    with RunStore.open(tmp_path / "run", write=True) as store:
        store.add_candidates([initial(0)])
        store.add_outcome(finished("g0-0", weights_of(0)), weights_of(0))
