"""Evaluation in this process (``workers = 0``): for debuggers, notebooks and tests; no process is started.

Results are bit for bit those of a worker process. What takes a second process to do is not to be had: a time limit or a memory
limit for a task, and outliving a crash inside a task, such as one in a C library.
"""

import sys
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

import torch

from hwnas.candidate import Failure
from hwnas.execution.task import EvaluationResult, EvaluationTask, evaluate_task


class InlineExecutor:
    """Evaluates tasks in the order in which they are submitted, each while the caller waits for results."""

    def __init__(self) -> None:
        self._pending: deque[EvaluationTask] = deque()

    @property
    def workers(self) -> int:
        """How many tasks can run at once: one."""
        return 1

    def warm_up(self) -> None:
        """Nothing has to be started."""

    def submit(self, task: EvaluationTask) -> None:
        """Take a task; it runs when results are waited for."""
        self._pending.append(task)

    def wait(self, timeout_s: float | None = None) -> list[EvaluationResult]:
        """The result of the next task; none where nothing is pending or ``timeout_s`` is 0.

        A task that was begun runs to its end, however long that takes. KeyboardInterrupt leaves it without a result.
        """
        if not self._pending or timeout_s == 0:
            return []
        task = self._pending.popleft()
        try:
            with _settings_of_a_worker():
                return [evaluate_task(task)]
        except Exception as error:  # noqa: BLE001 - whatever a task raises is its result, as it is from a worker process
            failure = Failure(kind="work_failed", message=f"{type(error).__name__}: {error}")
            return [EvaluationResult(candidate_id=task.candidate_id, failure=failure)]

    def cancel(self) -> None:
        """Forget every pending task; they give no result."""
        self._pending.clear()

    def close(self) -> None:
        """Forget what is pending."""
        self.cancel()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


@contextmanager
def _settings_of_a_worker() -> Iterator[None]:
    """Denormal numbers are zero and torch's threads are the task's meanwhile; the caller has its own settings back."""
    threads, flushed = torch.get_num_threads(), _denormals_are_zero()
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(flushed)
        torch.set_num_threads(threads)


def _denormals_are_zero() -> bool:
    """Whether this thread flushes denormal numbers; torch sets this but does not tell it."""
    least = torch.tensor(sys.float_info.min, dtype=torch.float64)
    return bool(least / 2 == 0)
