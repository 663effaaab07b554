"""What every executor does, wherever its workers are."""

import time

import pytest
import torch

from hwnas.data import load
from hwnas.execution import evaluate_task, pack, unpack
from tests.execution.conftest import DATA, endless_task, tiny_task

PLACES = {"inline": "inline_executor", "local": "one_worker", "ray": "ray_executor"}


@pytest.fixture(scope="module", params=PLACES)
def executor(request):
    return request.getfixturevalue(PLACES[request.param])


@pytest.fixture(scope="module", params=[place for place in PLACES if place != "inline"])
def workers_elsewhere(request):
    """An executor that can end a task from outside."""
    return request.getfixturevalue(PLACES[request.param])


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


def test_one_that_raises_what_nobody_foresaw_gives_a_result_too(executor):
    executor.submit(tiny_task(0, seed=None))
    executor.submit(tiny_task(1))
    results = finished(executor, 2)
    assert results["g0-0"].failure.kind == "work_failed"
    assert results["g0-0"].failure.message.startswith("RuntimeError: manual_seed")
    assert results["g0-1"].failure is None


def test_waiting_ends_with_its_time_and_cancelling_frees_the_workers(workers_elsewhere):
    for slot in range(3):
        workers_elsewhere.submit(endless_task(slot))
    for time_s in (0.0, 0.5):
        started = time.monotonic()
        assert workers_elsewhere.wait(time_s) == []
        assert time.monotonic() - started < 5 + time_s
    workers_elsewhere.cancel()
    assert workers_elsewhere.wait() == []
    workers_elsewhere.submit(tiny_task(7))
    assert finished(workers_elsewhere, 1)["g0-7"].failure is None
