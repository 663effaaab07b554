"""Approximate children of a search that trains in two phases begin with what their operators touched; others, and by default all,
train whole."""

from pathlib import Path

import pytest

from hwnas.execution import EvaluationTask
from hwnas.experiment import evaluator, start
from hwnas.experiment.tasks import task_for
from hwnas.graph import from_json
from tests.experiment.conftest import rows, tiny

APPROXIMATE = ["remove_layer", "separable", "prune"]


@pytest.mark.parametrize("two_phase", [True, False])
def test_approximate_children_begin_with_what_was_touched(
    two_phase: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks: list[EvaluationTask] = []

    def watched(*arguments: object) -> EvaluationTask:
        tasks.append(task_for(*arguments))
        return tasks[-1]

    monkeypatch.setattr(evaluator, "task_for", watched)
    few = {"proposals": 12, "accepted": 4}
    budget = {"generations": 1, "images_per_child": 64}
    start(tiny(lemonade=few, operators=APPROXIMATE, trainer={"two_phase": two_phase}, budget=budget), tmp_path / "run")
    children = [task for task in tasks if task.teacher is not None]
    assert children
    assert all(not task.first for task in tasks if task.teacher is None)
    for task in children:
        parameters = set(from_json(task.graph).parameters())
        assert set(task.first) <= parameters
        assert bool(task.first) == two_phase
    assert all(row.outcome is not None and row.outcome.status == "finished" for row in rows(tmp_path / "run") if row.parent)
