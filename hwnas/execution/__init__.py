"""Where evaluations run."""

from hwnas.execution.executor import Executor
from hwnas.execution.local import LocalExecutor
from hwnas.execution.task import EvaluationResult, EvaluationTask, Teacher, evaluate_task, pack, unpack

__all__ = [
    "EvaluationResult",
    "EvaluationTask",
    "Executor",
    "LocalExecutor",
    "Teacher",
    "evaluate_task",
    "pack",
    "unpack",
]
