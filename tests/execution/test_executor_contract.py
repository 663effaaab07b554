"""What every executor does, wherever its workers are."""

import time

import pytest
import torch

from hwnas.data import load
from hwnas.execution import evaluate_task, pack, unpack
from tests.execution.conftest import DATA, endless_task, tiny_task


@pytest.fixture(scope="module", params=["local", "ray"])
def executor(request):
    return request.getfixturevalue({"local": "one_worker", "ray": "ray_executor"}[request.param])


def finished(executor, count):
    results = []
    while len(results) < count:
        results += executor.wait()
    return {result.candidate_id: result for result in results}


def test_a_worker_gives_what_the_task_gives_here(executor):
    executor.submit(tiny_task(0))
    (result,) = finished(executor, 1).values()
    here = evaluate_task(tiny_task(0))
    assert (result.weights, result.evaluation, result.images) == (here.weights, here.evaluation, 320)
    assert result.failure is None
    assert result.evaluation.images == len(load(DATA).validation)


def test_a_task_says_how_many_threads_torch_takes():
    try:
        for threads in (2, 1):
            assert evaluate_task(tiny_task(0, threads=threads)).failure is None
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(1)


def test_every_task_gives_one_result_and_failures_are_among_them(executor):
    tasks = [
        tiny_task(0, weights=pack({name: tensor * torch.nan for name, tensor in unpack(tiny_task(0).weights).items()})),
        tiny_task(1, weights=b"not weights"),
        tiny_task(2, data_fingerprint="another"),
        tiny_task(3),
    ]
    for task in tasks:
        executor.submit(task)
    results = finished(executor, 4)
    kinds = {key: result.failure.kind if result.failure else None for key, result in results.items()}
    assert kinds == {"g0-0": "diverged", "g0-1": "work_failed", "g0-2": "work_failed", "g0-3": None}
    assert "another" in results["g0-2"].failure.message
    assert executor.wait() == []


def test_waiting_ends_with_its_time(executor):
    executor.submit(endless_task())
    started = time.monotonic()
    assert executor.wait(0.3) == []
    assert time.monotonic() - started < 5
    executor.cancel()


def test_cancelled_tasks_give_no_result_and_free_the_workers(executor):
    for slot in range(3):
        executor.submit(endless_task(slot))
    executor.wait(0.5)
    executor.cancel()
    assert executor.wait() == []
    executor.submit(tiny_task(7))
    assert finished(executor, 1)["g0-7"].failure is None
