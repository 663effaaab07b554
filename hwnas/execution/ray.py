"""Workers on a Ray cluster (extra ``ray``): one task a child, each on one CPU; a lost node costs only its children.

hwnas and the data must be found under the same paths on every node. Ray is not asked to repeat tasks: what failed is an
outcome, and the search decides.
"""

import logging
import os
import threading
import time
from types import TracebackType
from typing import Any, Self

import ray
from ray.exceptions import OutOfMemoryError, RayError, RayTaskError

from hwnas.candidate import Failure
from hwnas.errors import ConfigError
from hwnas.execution.task import EvaluationResult, EvaluationTask, evaluate_task, prepare

FETCH_LIMIT_S = 60.0  # for a result that is ready, from its node


class RayExecutor:
    """One Ray task a child. ``address`` as Ray takes it: "auto", "ray://HOST:PORT", or "local" for a cluster of this machine."""

    def __init__(
        self,
        address: str,
        *,
        workers: int | None = None,
        task_limit_s: float | None = None,
        memory_limit_mb: float | None = None,
    ) -> None:
        """``workers`` is how many CPUs a "local" cluster has. Raises ConfigError where no cluster is found at the address."""
        self._address = address
        self._workers = workers
        self._task_limit_s = task_limit_s
        self._memory_limit_mb = memory_limit_mb
        self._pending: dict[Any, tuple[EvaluationTask, float]] = {}
        self._evaluate: Any = None

    @property
    def workers(self) -> int:
        """How many tasks can run at once: the CPUs that the cluster has now."""
        self.warm_up()
        resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
        return max(1, int(resources.get("CPU", 1)))

    def warm_up(self) -> None:
        """Connect to the cluster."""
        if self._evaluate is not None:
            return
        cpus, dashboard = (self._workers, False) if self._address == "local" else (None, None)
        try:
            ray.init(self._address, num_cpus=cpus, include_dashboard=dashboard, log_to_driver=False, logging_level=logging.ERROR)
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise ConfigError(f"no Ray cluster found at {self._address}: {error}; start one with: ray start --head") from error
        self._evaluate = ray.remote(num_cpus=1, max_retries=0)(_evaluate_limited)

    def submit(self, task: EvaluationTask) -> None:
        """Start a task as soon as a CPU is free."""
        self.warm_up()
        future = self._evaluate.remote(task, self._task_limit_s, self._memory_limit_mb)
        self._pending[future] = (task, time.monotonic())

    def wait(self, timeout_s: float | None = None) -> list[EvaluationResult]:
        """Results that have come since, at least one unless the time is up or nothing is pending."""
        if not self._pending:
            return []
        done, _ = ray.wait(list(self._pending), num_returns=1, timeout=timeout_s, fetch_local=False)
        return [self._result(future, *self._pending.pop(future)) for future in done]

    def cancel(self) -> None:
        """End every pending task at once, the processes that run them included."""
        for future in self._pending:
            ray.cancel(future, force=True)
        self._pending.clear()

    def close(self) -> None:
        """Cancel what is pending and leave the cluster."""
        if self._evaluate is not None:
            self.cancel()
            ray.shutdown()
            self._evaluate = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _result(self, future: Any, task: EvaluationTask, submitted: float) -> EvaluationResult:
        try:
            result: EvaluationResult = ray.get(future, timeout=FETCH_LIMIT_S)
            return result
        except OutOfMemoryError as error:
            failure = Failure(kind="out_of_memory", message=_first_line(error))
        except RayTaskError as error:
            failure = Failure(kind="work_failed", message=_first_line(error.cause or error))
        except RayError as error:
            limit_s = self._task_limit_s
            if limit_s is not None and time.monotonic() - submitted >= limit_s:
                failure = Failure(kind="time_limit", message=f"took longer than the limit of {limit_s} s for one child")
            else:
                failure = Failure(kind="worker_died", message=f"its worker or node was lost: {_first_line(error)}")
        return EvaluationResult(candidate_id=task.candidate_id, failure=failure)


def _evaluate_limited(task: EvaluationTask, task_limit_s: float | None, memory_limit_mb: float | None) -> EvaluationResult:
    """The task in a process that ends itself when its time is up: Ray has no such limit."""
    watch = threading.Timer(task_limit_s or threading.TIMEOUT_MAX, os._exit, [1])
    watch.daemon = True
    watch.start()
    try:
        prepare(task.data)
        return evaluate_task(task, memory_limit_mb)
    finally:
        watch.cancel()


def _first_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0]
