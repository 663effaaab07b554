"""What runs evaluations: tasks go in, results come out in the order in which they end."""

from types import TracebackType
from typing import Protocol, Self

from hwnas.execution.task import EvaluationResult, EvaluationTask


class Executor(Protocol):
    """Every task that is submitted gives exactly one result, unless it is cancelled; a lost worker is a failure, not an error."""

    @property
    def workers(self) -> int:
        """How many tasks can run at once."""

    def warm_up(self) -> None:
        """Start what is needed for the first task, without waiting for it; nothing is started before this or a first task."""

    def submit(self, task: EvaluationTask) -> None:
        """Start a task as soon as a worker is free."""

    def wait(self, timeout_s: float | None = None) -> list[EvaluationResult]:
        """Results that have come since, at least one unless the time is up, nothing is pending or all that ended starts again."""

    def cancel(self) -> None:
        """End every pending task; they give no result."""

    def close(self) -> None:
        """Cancel what is pending and let the workers go."""

    def __enter__(self) -> Self: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None: ...
