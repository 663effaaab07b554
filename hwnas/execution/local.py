"""Worker processes on this machine, through pebble: spawned, time-limited, replaced when they die."""

import concurrent.futures
import multiprocessing
from types import TracebackType
from typing import Self

from pebble import ProcessExpired, ProcessFuture, ProcessPool

from hwnas.candidate import Failure
from hwnas.data import DataSettings
from hwnas.errors import ConfigError
from hwnas.execution.task import EvaluationResult, EvaluationTask, evaluate_task, prepare

STOP_TIMEOUT_S = 10.0


class LocalExecutor:
    """``workers`` processes with one torch thread each; two of them train about twice as much as one with two threads."""

    def __init__(self, workers: int, data: DataSettings, *, task_limit_s: float | None = None) -> None:
        if workers < 1:
            raise ConfigError(f"workers must be at least 1, got {workers}")
        # Spawned, not forked: torch's threads and ONNX Runtime's do not survive a fork.
        self._pool = ProcessPool(max_workers=workers, context=multiprocessing.get_context("spawn"))
        self._task_limit_s = task_limit_s
        self._pending: dict[ProcessFuture, str] = {}
        for _ in range(workers):  # workers import and load while the caller goes on
            self._pool.schedule(prepare, args=[data])

    def submit(self, task: EvaluationTask) -> None:
        """Start a task as soon as a worker is free."""
        future = self._pool.schedule(evaluate_task, args=[task], timeout=self._task_limit_s)
        self._pending[future] = task.candidate_id

    def wait(self, timeout_s: float | None = None) -> list[EvaluationResult]:
        """Results that have come since, at least one unless the time is up or nothing is pending."""
        done, _ = concurrent.futures.wait(self._pending, timeout_s, concurrent.futures.FIRST_COMPLETED)
        return [self._result(future, self._pending.pop(future)) for future in done]

    def cancel(self) -> None:
        """End every pending task at once, the workers that run them included; they are replaced."""
        for future in self._pending:
            future.cancel()
        self._pending.clear()

    def close(self) -> None:
        """Cancel what is pending and let the workers go."""
        self.cancel()
        self._pool.stop()
        self._pool.join(STOP_TIMEOUT_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _result(self, future: ProcessFuture, candidate_id: str) -> EvaluationResult:
        error = future.exception()
        if error is None:
            result: EvaluationResult = future.result()
            return result
        if isinstance(error, TimeoutError):
            failure = Failure(kind="time_limit", message=f"took longer than the limit of {self._task_limit_s} s for one child")
        elif isinstance(error, ProcessExpired):
            failure = Failure(kind="worker_died", message=f"its worker process died with exit code {error.exitcode}")
        elif isinstance(error, MemoryError):
            failure = Failure(kind="out_of_memory", message="the worker ran out of memory")
        else:
            failure = Failure(kind="work_failed", message=f"{type(error).__name__}: {error}")
        return EvaluationResult(candidate_id=candidate_id, failure=failure)
