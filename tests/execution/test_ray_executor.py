"""What can happen to a Ray worker, and to the cluster."""

import errno
import re
import time

import psutil
import pytest

from hwnas.errors import ConfigError
from hwnas.execution.ray import RayExecutor
from tests.execution.conftest import endless_task, tiny_task, until, words_of

LIMIT_S = 3.0


@pytest.fixture(scope="module")
def executor():
    with RayExecutor("local", workers=1, task_limit_s=LIMIT_S) as executor:
        yield executor


def ray_workers():
    """Processes of this test's cluster that work on a task right now; Ray names them so."""
    found = psutil.Process().children(recursive=True)
    return [process for process in found if any("ray::_evaluate" in word for word in words_of(process))]


def kinds(results):
    return {result.candidate_id: result.failure.kind if result.failure else None for result in results}


@pytest.mark.slow
def test_a_killed_worker_costs_its_child_only(executor):
    executor.submit(tiny_task(0))
    assert kinds(executor.wait()) == {"g0-0": None}
    executor.submit(endless_task(1))
    executor.submit(tiny_task(2))
    until(ray_workers)
    ray_workers()[0].kill()
    assert kinds(executor.wait() + executor.wait()) == {"g0-1": "worker_died", "g0-2": None}


@pytest.mark.slow
def test_a_hung_child_ends_at_its_time_limit_and_waiting_for_a_cpu_does_not_count(executor):
    executor.submit(endless_task(0))
    executor.submit(tiny_task(1))  # behind it for as long as the limit
    found = executor.wait() + executor.wait()
    assert kinds(found) == {"g0-0": "time_limit", "g0-1": None}
    assert executor.workers == 1


@pytest.mark.parametrize("address", ["127.0.0.1:1", "ray://127.0.0.1:1", "nowhere.invalid:6379"])
def test_no_cluster_is_a_wrong_request_at_once(monkeypatch, address):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    started = time.monotonic()
    with pytest.raises(ConfigError, match=f"no Ray cluster found at {re.escape(address)}: .*ray start --head"):
        RayExecutor(address).warm_up()
    assert time.monotonic() - started < 10


def test_another_trouble_of_ray_is_not_taken_for_a_missing_cluster(monkeypatch):
    def full(*arguments, **options):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("hwnas.execution.ray.ray.init", full)
    with pytest.raises(OSError, match="No space left"):
        RayExecutor("local").warm_up()


def test_the_cluster_is_asked_for_its_size_now_and_then(executor, monkeypatch):
    executor.warm_up()
    asked, now = [], time.monotonic()
    monkeypatch.setattr("hwnas.execution.ray._CLUSTER.cluster_resources", lambda: asked.append(1) or {"CPU": 3 + len(asked)})
    monkeypatch.setattr("hwnas.execution.ray.time.monotonic", lambda: now)
    now += 60
    assert [executor.workers for _ in range(9)] == [4] * 9
    now += 60
    assert executor.workers == 5
    assert len(asked) == 2
