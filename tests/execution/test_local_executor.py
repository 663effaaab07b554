"""What can happen to a worker process: killed, hung, out of memory, orphaned, interrupted."""

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from hwnas.errors import ConfigError
from hwnas.execution import LocalExecutor
from tests.execution.conftest import DATA, endless_task, local_workers, tiny_task, until

ORPHANS = """
import time
from tests.execution.conftest import DATA, endless_task, local_workers
from hwnas.execution import LocalExecutor
if __name__ == "__main__":
    executor = LocalExecutor(1, DATA)
    executor.submit(endless_task())
    while not local_workers():
        time.sleep(0.05)
    print(local_workers()[0].pid, flush=True)
    executor.wait()
"""


@pytest.fixture(scope="module")
def limited():
    with LocalExecutor(1, DATA, task_limit_s=4.0, memory_limit_mb=64) as executor:
        yield executor


def test_a_hung_child_ends_at_its_time_limit_and_the_next_is_trained(limited):
    limited.submit(endless_task(0))
    limited.submit(tiny_task(1))
    results = limited.wait() + limited.wait()
    assert [(r.candidate_id, r.failure.kind if r.failure else None) for r in results] == [("g0-0", "time_limit"), ("g0-1", None)]
    assert "4.0 s" in results[0].failure.message


@pytest.mark.slow
def test_a_clock_that_jumps_ends_no_child(monkeypatch):
    others = set(local_workers())
    with LocalExecutor(1, DATA, task_limit_s=600.0) as executor:
        executor.submit(endless_task(0))
        until(lambda: executor._pending and all(future.running() for future in executor._pending))
        (worker,), now = set(local_workers()) - others, time.time
        monkeypatch.setattr(time, "time", lambda: now() + 3600)
        until(lambda: executor.wait(0.1) == [] and not worker.is_running())  # the pool goes by that clock
        assert executor.wait(2) == []
        assert executor._pending  # it is trained again


class Unreachable:
    """A task that runs into a time-out of its own, as where its data lie on another machine."""

    candidate_id = "g0-0"

    @property
    def threads(self):
        raise TimeoutError(errno.ETIMEDOUT, "Connection timed out")


@pytest.mark.parametrize("task_limit_s", [pytest.param(None, marks=pytest.mark.slow), 600.0])
def test_a_time_out_inside_a_task_is_its_failure_and_no_time_limit(task_limit_s):
    with LocalExecutor(1, DATA, task_limit_s=task_limit_s) as executor:
        executor.submit(Unreachable())
        (result,) = executor.wait(60)
    message = f"TimeoutError: [Errno {errno.ETIMEDOUT}] Connection timed out"
    assert (result.failure.kind, result.failure.message) == ("work_failed", message)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits the memory of a process")
def test_a_child_over_its_memory_limit_fails_alone(limited):
    big = tiny_task(0)
    limited.submit(tiny_task(0, trainer=big.trainer.model_copy(update={"batch_size": 65536}), images=65536))
    limited.submit(tiny_task(1))
    results = limited.wait() + limited.wait()
    assert [r.failure.kind if r.failure else None for r in results] == ["out_of_memory", None]


@pytest.fixture
def lone():
    """An executor, and a function that gives its one worker."""
    others = {worker.pid for worker in local_workers()}
    with LocalExecutor(1, DATA) as executor:
        yield executor, lambda: next((worker for worker in local_workers() if worker.pid not in others), None)


def is_busy(worker):
    return worker is not None and worker.cpu_percent(0.2) > 20


def test_killed_workers_cost_their_child_only_busy_or_idle(lone):
    executor, worker = lone
    executor.submit(tiny_task(0))
    assert executor.wait()[0].failure is None
    for slot, task in enumerate((endless_task, tiny_task, tiny_task), 1):
        executor.submit(task(slot))
    until(lambda: is_busy(worker()))
    worker().kill()
    results = [result for _ in range(3) for result in executor.wait(60)]
    assert [(r.candidate_id, r.failure.kind if r.failure else None) for r in results] == [
        ("g0-1", "worker_died"),
        ("g0-2", None),
        ("g0-3", None),
    ]
    worker().kill()  # idle now: pebble gives its pool up
    time.sleep(1)
    executor.submit(tiny_task(4))
    assert executor.wait(60)[0].failure is None


def test_workers_leave_ctrl_c_to_the_main_process(lone):
    executor, worker = lone
    pids = []
    for slot in range(2):
        executor.submit(tiny_task(slot))
        assert executor.wait(60)[0].failure is None
        pids.append(worker().pid)
        os.kill(worker().pid, signal.SIGINT)
        time.sleep(0.3)
    assert pids[0] == pids[1]
    assert is_alive(worker())


def is_alive(worker):
    return worker is not None and worker.status() != psutil.STATUS_ZOMBIE


def test_orphaned_workers_die(tmp_path):
    script = tmp_path / "orphans.py"
    script.write_text(ORPHANS)
    root = Path(__file__).parents[2]
    main = subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(root)}
    )
    with main:
        worker = int(main.stdout.readline())
        main.kill()
    until(lambda: not psutil.pid_exists(worker) or not is_alive(psutil.Process(worker)))


def test_nothing_is_started_before_it_is_needed():
    before = len(local_workers())
    with LocalExecutor(1, DATA) as executor:
        assert executor.wait() == []
        assert len(local_workers()) == before


def test_no_workers_is_a_wrong_request():
    with pytest.raises(ConfigError, match="at least 1, got 0"):
        LocalExecutor(0, DATA)
