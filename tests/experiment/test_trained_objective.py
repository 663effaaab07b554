"""A search that minimises what flips can be expected to change in trained weights."""

from pathlib import Path

import pytest

from hwnas.data import DataSettings, load
from hwnas.execution import unpack
from hwnas.experiment import start
from hwnas.injection.expected_change import expected_change
from hwnas.store import RunStore
from tests.experiment.conftest import rows, tiny


def test_a_search_by_expected_change_keeps_it_for_every_trained_network(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    start(tiny(objectives=("error", "parameters", "expected_change")), folder)
    finished = [row for row in rows(folder) if row.outcome is not None and row.outcome.status == "finished"]
    assert len(finished) > 4
    data = load(DataSettings())
    with RunStore.open(folder, write=False) as store:
        for row in finished[:2]:
            assert row.outcome is not None
            assert row.outcome.weights is not None
            state = unpack(store.weights(row.outcome.weights))
            again = expected_change(row.candidate.graph, state, data.train.images, mean=data.mean, std=data.std)
            assert row.values["expected_change"] == pytest.approx(again, rel=1e-4)
