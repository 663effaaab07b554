"""Workers on a Ray cluster (extra ``ray``): one task a child, on as many CPUs as torch has threads; a lost node costs only its
children.

Where the cluster has GPUs each task takes one. hwnas and the data must be found under the same paths on every node. Ray is not
asked to repeat tasks: what failed is an outcome, and the search decides. A head that is lost ends the session; left alone, Ray
would call its running tasks failed, and end this process a minute later.
"""

import logging
import socket
import time
from types import TracebackType
from typing import Any, Self

import ray
from ray.exceptions import OutOfMemoryError, RayError, RayTaskError

from hwnas.candidate import Failure
from hwnas.errors import ConfigError, WorkError
from hwnas.execution.task import EvaluationResult, EvaluationTask, evaluate_task, prepare
from hwnas.execution.worker import TimeUp, time_limit

FETCH_LIMIT_S = 60.0  # for a result that is ready, from its node
HEAD_LIMIT_S = 5.0  # for the head to answer
LOOK_S = 5.0  # how often to look whether the head is there while nothing comes
_CLUSTER: Any = ray  # some of its functions have no types


class RayExecutor:
    """One Ray task a child. ``address`` as Ray takes it: "auto", "ray://HOST:PORT", or "local" for a cluster of this machine."""

    def __init__(
        self,
        address: str,
        *,
        workers: int | None = None,
        threads: int = 1,
        task_limit_s: float | None = None,
        memory_limit_mb: float | None = None,
    ) -> None:
        """``workers`` tasks of ``threads`` threads each are what a "local" cluster has CPUs for; limits are for each task.

        The time limit counts from when a task has its CPUs and its data.
        """
        self._address = address
        self._workers = workers
        self._threads = threads
        self._task_limit_s = task_limit_s
        self._memory_limit_mb = memory_limit_mb
        self._pending: dict[Any, EvaluationTask] = {}
        self._evaluate: Any = None
        self._gpus = 0
        self._head = ("", 0)
        self._looked = time.monotonic()
        self._slots, self._counted = 0, 0.0

    @property
    def workers(self) -> int:
        """How many tasks can run at once on what the cluster had seconds ago: a search asks in each of its turns."""
        self.warm_up()
        if not self._slots or time.monotonic() - self._counted >= LOOK_S:
            resources: dict[str, float] = _CLUSTER.cluster_resources()
            slots = int(resources.get("CPU", 1)) // self._threads
            self._slots = max(1, min(slots, int(resources.get("GPU", 0))) if self._gpus else slots)
            self._counted = time.monotonic()
        return self._slots

    def warm_up(self) -> None:
        """Connect to the cluster. Raises ConfigError where no cluster is found at the address."""
        if self._evaluate is not None:
            return
        cpus, dashboard = None, None
        if self._address == "local":
            cpus, dashboard = None if self._workers is None else self._workers * self._threads, False
        _reach(self._address)  # Ray itself would try for minutes
        try:
            ray.init(self._address, num_cpus=cpus, include_dashboard=dashboard, log_to_driver=False, logging_level=logging.ERROR)
        except (ConnectionError, ValueError, RuntimeError) as error:  # its words for an address that is none, or nobody's
            raise _not_found(self._address, error) from error
        client = self._address.removeprefix("ray://")
        head = client if client != self._address else ray.get_runtime_context().gcs_address
        host, _, port = head.rpartition(":")
        self._head = (host, int(port))
        self._gpus = 1 if _CLUSTER.cluster_resources().get("GPU", 0) >= 1 else 0
        self._evaluate = ray.remote(num_cpus=self._threads, num_gpus=self._gpus, max_retries=0)(_evaluate_limited)

    def submit(self, task: EvaluationTask) -> None:
        """Start a task as soon as its CPUs are free."""
        self.warm_up()
        self._pending[self._evaluate.remote(task, self._task_limit_s, self._memory_limit_mb)] = task

    def wait(self, timeout_s: float | None = None) -> list[EvaluationResult]:
        """Results that have come since, at least one unless the time is up or nothing is pending.

        Raises WorkError where the head of the cluster is lost.
        """
        deadline = time.monotonic() + (float("inf") if timeout_s is None else timeout_s)
        while self._pending:
            left = max(0.0, deadline - time.monotonic())
            try:
                done, _ = ray.wait(list(self._pending), num_returns=1, timeout=min(left, LOOK_S), fetch_local=False)
            except (ConnectionError, RayError) as error:
                raise self._lost() from error
            if done:
                results = [self._result(future, self._pending[future]) for future in done]
                for future in done:
                    del self._pending[future]
                return results
            if time.monotonic() - self._looked >= LOOK_S:
                self._look_at_head()
            if left <= LOOK_S:
                break
        return []

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

    def _result(self, future: Any, task: EvaluationTask) -> EvaluationResult:
        try:
            result: EvaluationResult = ray.get(future, timeout=FETCH_LIMIT_S)
            return result
        except OutOfMemoryError as error:
            failure = Failure(kind="out_of_memory", message=_first_line(error))
        except RayTaskError as error:
            failure = Failure(kind="work_failed", message=_first_line(error.cause or error))
        except (ConnectionError, RayError) as error:
            self._look_at_head()
            failure = Failure(kind="worker_died", message=f"its worker or node was lost: {_first_line(error)}")
        return EvaluationResult(candidate_id=task.candidate_id, failure=failure)

    def _look_at_head(self) -> None:
        """Raise WorkError where the head does not answer."""
        self._looked = time.monotonic()
        try:
            socket.create_connection(self._head, HEAD_LIMIT_S).close()
        except OSError as error:
            raise self._lost() from error

    def _lost(self) -> WorkError:
        self._pending.clear()  # there is nobody left who could cancel them
        return WorkError(
            f"the head of the Ray cluster at {self._address} was lost; start it again (ray start --head) and resume the run"
        )


def _reach(address: str) -> None:
    """Raise ConfigError where nothing listens at HOST:PORT; other addresses are Ray's to find."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdecimal():
        try:
            socket.create_connection((host.strip("[]"), int(port)), HEAD_LIMIT_S).close()
        except OSError as error:  # nobody is there, no route, no such name
            raise _not_found(address, error) from error


def _not_found(address: str, error: Exception) -> ConfigError:
    return ConfigError(f"no Ray cluster found at {address}: {error}; start one with: ray start --head")


def _evaluate_limited(task: EvaluationTask, task_limit_s: float | None, memory_limit_mb: float | None) -> EvaluationResult:
    """The task, within a time limit of its own: Ray has none."""
    prepare(task.data)
    try:
        with time_limit(task_limit_s):
            return evaluate_task(task, memory_limit_mb)
    except TimeUp:
        failure = Failure(kind="time_limit", message=f"took longer than the limit of {task_limit_s} s for one child")
        return EvaluationResult(candidate_id=task.candidate_id, failure=failure)


def _first_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0]
