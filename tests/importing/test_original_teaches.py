"""The network that was brought teaches what descends from it, where it errs less often."""

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from typer.testing import CliRunner

from hwnas.candidate import Candidate
from hwnas.cli import app
from hwnas.data import load, normalise
from hwnas.execution import EvaluationTask, Teacher
from hwnas.experiment import Wanted, evaluator, final_training, start, train
from hwnas.experiment.planning import plans
from hwnas.graph import architecture_id, from_json
from hwnas.importing import NetworkSource
from hwnas.settings import DataSettings
from hwnas.store import RunStore
from tests.importing.brought import Digits, digits_error, tiny

APPROXIMATE = {"operators": ("prune", "remove_layer"), "budget": {"generations": 2, "images_per_child": 64}}


@pytest.fixture(scope="module")
def trained() -> Digits:
    """A network that knows the digits better than any child of 64 images."""
    data, module = load(DataSettings(seed=0)), Digits()
    images, labels = normalise(data.train.images, data), data.train.labels
    optimiser = torch.optim.AdamW(module.parameters(), lr=1e-2)
    generator = torch.Generator().manual_seed(0)
    with torch.random.fork_rng():  # of its dropout
        torch.manual_seed(0)
        for _ in range(800):
            chosen = torch.randint(len(labels), (64,), generator=generator)
            loss = F.cross_entropy(module(images[chosen]), labels[chosen])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    assert digits_error(module) < 0.4
    return module.eval()


def taught(monkeypatch: pytest.MonkeyPatch, module: Any) -> dict[str, str]:
    """By candidate, the architecture of its teacher, of all tasks that are made from now on."""
    found: dict[str, str] = {}
    plain = module.task_for

    def task_for(candidate: Candidate, state: object, teacher: Teacher | None, *rest: object) -> EvaluationTask:
        if teacher is not None:
            found[candidate.id] = architecture_id(from_json(teacher.graph))
        return plain(candidate, state, teacher, *rest)

    monkeypatch.setattr(module, "task_for", task_for)
    return found


@pytest.mark.parametrize("teaches", [True, False])
def test_grandchildren_learn_from_it(trained: Digits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, teaches: bool) -> None:
    found = taught(monkeypatch, evaluator)
    start(tiny(**APPROXIMATE, original_teaches=teaches), tmp_path / "run", networks=[NetworkSource(given=trained)])
    with RunStore.open(tmp_path / "run", write=False) as store:
        rows = {row.id: row for row in store.rows()}
    later = {name: teacher for name, teacher in found.items() if rows[name].generation == 2 and rows[name].parent != "g0-0"}
    assert later
    original = rows["g0-0"].architecture_id
    assert all((teacher == original) == teaches for teacher in later.values())


def test_the_final_training_learns_from_it_unless_it_is_told_not_to(
    trained: Digits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "run"
    start(tiny(**APPROXIMATE), folder, networks=[NetworkSource(given=trained)])
    found = taught(monkeypatch, final_training)
    train(folder, Wanted(models=("g0-0", "g1-0"), epochs=1))
    train(folder, Wanted(models=("g1-0",), epochs=1, teacher="none"))
    with RunStore.open(folder, write=False) as store:
        taught_by = [[goal.teacher for goal in plan.goals] for plan in plans(store)]
        original = store.candidate("g0-0").architecture_id
    assert taught_by == [[None, "g0-0"], [None]]
    assert found == {"t0-1": original}


def test_the_option_is_there() -> None:
    assert "--no-teacher" in CliRunner().invoke(app, ["search", "--help"], terminal_width=200).output
