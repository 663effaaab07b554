"""Worker processes on this machine, through pebble: spawned, time-limited, replaced when they die."""

import concurrent.futures
import contextlib
import time
from concurrent.futures.process import BrokenProcessPool
from types import TracebackType
from typing import Self

from pebble import ProcessExpired, ProcessFuture, ProcessPool

from hwnas.candidate import Failure
from hwnas.data import DataSettings
from hwnas.errors import ConfigError, HwnasError, WorkError
from hwnas.execution.signals import interrupts_blocked
from hwnas.execution.task import EvaluationResult, EvaluationTask, evaluate_task, prepare
from hwnas.execution.worker import start_worker
from hwnas.execution.worker_malloc import WorkerContext

STOP_TIMEOUT_S = 10.0
JUMP = 0.01  # of the time limit: clocks that are brought right slowly move by less
POOLS = 5  # a pool that breaks is replaced, but not for ever: workers that cannot even start would be replaced endlessly


class LocalExecutor:
    """``workers`` processes; two with one torch thread each train about twice as much as one with two threads."""

    def __init__(
        self,
        workers: int,
        data: DataSettings,
        *,
        task_limit_s: float | None = None,
        memory_limit_mb: float | None = None,
        keep_freed_memory: bool = True,
    ) -> None:
        """``task_limit_s`` and ``memory_limit_mb`` are for each task; ``keep_freed_memory`` makes training faster on Linux."""
        if workers < 1:
            raise ConfigError(f"workers must be at least 1, got {workers}")
        self._workers = workers
        self._data = data
        self._task_limit_s = task_limit_s
        self._memory_limit_mb = memory_limit_mb
        self._keep_freed_memory = keep_freed_memory
        self._pending: dict[ProcessFuture, tuple[EvaluationTask, float]] = {}  # and where the system's clock was
        self._pool: ProcessPool | None = None
        self._broken = 0

    @property
    def workers(self) -> int:
        """How many tasks can run at once."""
        return self._workers

    def warm_up(self) -> None:
        """Start the workers; they import and load the data while the caller continues."""
        if self._pool is not None:
            return
        self._pool = ProcessPool(
            max_workers=self._workers,
            initializer=_begin,
            initargs=[self._data, self._keep_freed_memory],
            context=WorkerContext(),
        )
        with interrupts_blocked():
            started = self._pool.active  # asking starts it
        if not started:
            raise WorkError("the worker processes could not be started; is the memory full?")

    def submit(self, task: EvaluationTask) -> None:
        """Start a task as soon as a worker is free."""
        if self._pool is not None and not self._pool.active:  # pebble gives a pool up whose idle worker is killed
            self._drop_pool()
        self.warm_up()
        assert self._pool is not None
        future = self._pool.schedule(evaluate_task, args=[task, self._memory_limit_mb], timeout=self._task_limit_s)
        self._pending[future] = task, _clock_offset_s()

    def wait(self, timeout_s: float | None = None) -> list[EvaluationResult]:
        """Results that have come since, at least one unless the time is up, nothing is pending or all that ended starts again.

        A task starts again where its pool broke before its turn, or where pebble ended it by a clock that was set forward. A
        clock that is set back lets a hung task run that much longer.
        """
        done, _ = concurrent.futures.wait(self._pending, timeout_s, concurrent.futures.FIRST_COMPLETED)
        results, lost = [], []
        for future in done:
            (task, offset_s), error = self._pending.pop(future), future.exception()
            if isinstance(error, BrokenProcessPool) or (_is_time_limit(error) and self._has_jumped(offset_s)):
                lost.append(task)
            else:
                results.append(future.result() if error is None else self._failed(task, error))
        if results:
            self._broken = 0
        for task in lost:  # it was waiting when the pool broke, or its time is not known
            self.submit(task)
        return results

    def cancel(self) -> None:
        """End every pending task at once, the workers that run them included; they are replaced."""
        for future in self._pending:
            future.cancel()
        self._pending.clear()

    def close(self) -> None:
        """Cancel what is pending and let the workers go."""
        self.cancel()
        if self._pool is not None:
            pool, self._pool = self._pool, None
            pool.stop()
            pool.join(STOP_TIMEOUT_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _drop_pool(self) -> None:
        self._broken += 1
        if self._broken >= POOLS:
            raise WorkError(
                f"the worker processes died {self._broken} times before they took a task: is the memory full, or is a script "
                "that starts a search without `if __name__ == '__main__'`?"
            )
        assert self._pool is not None
        self._pool.stop()
        self._pool.join(STOP_TIMEOUT_S)
        self._pool = None

    def _has_jumped(self, offset_s: float) -> bool:
        """Whether the system's clock, by which pebble limits tasks, was set since it had this offset, or the machine slept."""
        return abs(_clock_offset_s() - offset_s) > JUMP * (self._task_limit_s or 0.0)

    def _failed(self, task: EvaluationTask, error: BaseException) -> EvaluationResult:
        if _is_time_limit(error):
            failure = Failure(kind="time_limit", message=f"took longer than the limit of {self._task_limit_s} s for one child")
        elif isinstance(error, ProcessExpired):
            failure = Failure(kind="worker_died", message=f"its worker process died with exit code {error.exitcode}")
        else:
            failure = Failure(kind="work_failed", message=f"{type(error).__name__}: {error}")
        return EvaluationResult(candidate_id=task.candidate_id, failure=failure)


def _is_time_limit(error: BaseException | None) -> bool:
    """Whether pebble ended the task; a time-out that the task itself ran into comes with the worker's traceback as its cause."""
    return isinstance(error, TimeoutError) and error.__cause__ is None


def _clock_offset_s() -> float:
    return time.time() - time.monotonic()


def _begin(data: DataSettings, keep_freed_memory: bool) -> None:
    """What a worker does before its first task, and before the time of a task counts."""
    start_worker(keep_freed_memory=keep_freed_memory)
    with contextlib.suppress(HwnasError):  # a task meets the same error, and is its result
        prepare(data)
