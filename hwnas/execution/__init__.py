"""Where evaluations run."""

from hwnas.execution.executor import Executor
from hwnas.execution.inline import InlineExecutor
from hwnas.execution.local import LocalExecutor
from hwnas.execution.task import EvaluationResult, EvaluationTask, Teacher, evaluate_task, pack, unpack

__all__ = [
    "EvaluationResult",
    "EvaluationTask",
    "Executor",
    "InlineExecutor",
    "LocalExecutor",
    "Teacher",
    "evaluate_task",
    "pack",
    "unpack",
]
