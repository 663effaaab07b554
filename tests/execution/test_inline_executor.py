"""Evaluation in this process: what a worker gives, and nothing of the process changed by it."""

import signal
import threading

import pytest
import torch

from hwnas.execution import EvaluationTask, Executor, InlineExecutor, LocalExecutor, evaluate_task, pack, unpack
from hwnas.execution.inline import _denormals_are_zero
from tests.execution.conftest import endless_task, tiny_task


def task_with_denormal_weights() -> EvaluationTask:
    """A task whose result depends on whether the processor takes denormal numbers for zero."""
    small = {name: tensor * 1e-37 if tensor.dim() > 1 else tensor for name, tensor in unpack(tiny_task().weights).items()}
    return tiny_task(weights=pack(small))


def test_results_are_bit_for_bit_those_of_a_worker(inline_executor: Executor, one_worker: LocalExecutor) -> None:
    for task in (tiny_task(), task_with_denormal_weights()):
        found = []
        for executor in (inline_executor, one_worker):
            executor.submit(task)
            found += executor.wait()
        assert found[0].failure is None
        assert (found[0].weights, found[0].evaluation) == (found[1].weights, found[1].evaluation)
    assert evaluate_task(task).weights != found[0].weights, "denormal numbers change nothing here, so nothing is shown"


@pytest.mark.parametrize("flushed", [True, False])
def test_the_process_has_its_settings_back(inline_executor: Executor, flushed: bool) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.set_flush_denormal(flushed)
    try:
        for task in (tiny_task(threads=2), tiny_task(threads=2, graph=None)):
            inline_executor.submit(task)
            assert len(inline_executor.wait()) == 1
            assert (torch.get_num_threads(), _denormals_are_zero()) == (1, flushed)
    finally:
        torch.set_flush_denormal(False)
        torch.set_num_threads(before)


def test_ctrl_c_reaches_the_caller_from_within_a_task() -> None:
    with InlineExecutor() as executor:
        executor.submit(endless_task(0))
        executor.submit(tiny_task(1))
        timer = threading.Timer(0.3, signal.raise_signal, [signal.SIGINT])
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            executor.wait()
        assert [result.candidate_id for result in executor.wait()] == ["g0-1"]
        assert executor.wait() == []


def test_a_task_runs_when_it_is_waited_for_and_a_cancelled_one_never(inline_executor: Executor) -> None:
    inline_executor.submit(endless_task(0))
    assert inline_executor.wait(0) == []
    inline_executor.cancel()
    assert inline_executor.wait() == []
    inline_executor.submit(tiny_task(1))
    assert [result.candidate_id for result in inline_executor.wait(0.1)] == ["g0-1"]
