"""A search that minimises what flips can be expected to change in trained weights."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import torch

from hwnas.data import DataSettings, load
from hwnas.deployed.expected_change import expected_change
from hwnas.errors import RequestError, WorkError
from hwnas.execution import unpack
from hwnas.experiment import outcomes, resume, start
from hwnas.objectives import objectives_named
from hwnas.report import entries
from hwnas.spaces import initial_graphs
from hwnas.store import RunStore
from hwnas.training import evaluation_of
from tests.experiment.conftest import RESILIENT, front, rows, tiny, told


def test_every_trained_network_has_the_value_of_its_weights(steered: Path) -> None:
    finished = [row for row in rows(steered) if row.outcome is not None and row.outcome.status == "finished"]
    assert len(finished) > 4
    data = load(DataSettings())
    with RunStore.open(steered, write=False) as store:
        for row in finished[:2]:
            assert row.outcome is not None
            assert row.outcome.weights is not None
            state = unpack(store.weights(row.outcome.weights))
            again = expected_change(row.candidate.graph, state, data.train.images, mean=data.mean, std=data.std)
            assert row.values["expected_change"] == pytest.approx(again, rel=1e-4)


def test_a_network_without_a_finite_loss_has_diverged_and_does_not_end_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    overflown = evaluation_of(torch.tensor([[3e38, -3e38]]), torch.tensor([1]), 2)  # finite logits
    monkeypatch.setattr(outcomes, "error_values", lambda found, metric: {"error": 1.0, "loss": overflown.loss})
    with pytest.raises(WorkError, match="no initial network could be trained: no finite loss"):
        start(tiny(budget={"generations": 0, "images_per_child": 16}), tmp_path / "run")
    failures = [row.outcome.failure for row in rows(tmp_path / "run") if row.outcome is not None]
    assert {failure.kind for failure in failures if failure is not None} == {"diverged"}
    assert len(failures) == len(initial_graphs((1, 8, 8), 10))


@pytest.mark.parametrize("meant", [None, '{"expected_change": 1, "error": 1}'])
def test_a_run_whose_objective_meant_something_else_does_not_go_on(steered: Path, tmp_path: Path, meant: str | None) -> None:
    shutil.copytree(steered, tmp_path / "run")
    with closing(sqlite3.connect(tmp_path / "run" / "run.sqlite")) as connection, connection:
        connection.execute("DELETE FROM meta WHERE name = 'definitions'")
        if meant is not None:
            connection.execute("INSERT INTO meta VALUES ('definitions', ?)", (meant,))
    with pytest.raises(RequestError, match="expected_change of this run's networks is not what this version"):
        resume(tmp_path / "run", changes={"generations": 9})
    assert front(tmp_path / "run") == front(steered)


@pytest.mark.slow
def test_two_workers_find_the_same_bits(steered: Path, tmp_path: Path) -> None:
    start(tiny(objectives=RESILIENT, workers=2), tmp_path / "two")
    assert told(tmp_path / "two") == told(steered)
    assert front(tmp_path / "two") == front(steered)


def test_programs_read_it_beside_the_sensitivity(steered: Path) -> None:
    for entry in entries(rows(steered), objectives_named(RESILIENT)):
        record = entry.to_json()
        assert record["expected_change"] == entry.row.values["expected_change"]
        assert isinstance(record["sensitivity"], float)
