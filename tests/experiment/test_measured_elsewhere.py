"""A device that is another machine is measured while workers train, and gives the same run."""

import time
from collections.abc import Mapping
from typing import Any

import pytest

from hwnas.device.device import LinkedDevice
from hwnas.experiment import Progress, start
from hwnas.spaces import initial_graphs
from tests.experiment.conftest import brief_device, front, rows, tiny, told

INITIAL = len(initial_graphs((1, 8, 8), 10))
MEASURED: Mapping[str, Any] = {"limits": {"latency_ms": 1000.0}}  # which nothing breaks: the search is that of no limit
TRAINED_S = 1.5  # longer than a tiny child trains


def without_latency(run):
    return [
        (*start_, {name: value for name, value in values.items() if not name.startswith("latency")}, weights)
        for *start_, values, weights in run
    ]


def trained_while_measuring(folder, **changes: Any) -> list[int]:
    """How many were trained when the second child of generation 1 was measured, long after the first one."""
    trained = []

    def listen(progress: Progress) -> None:
        if (progress.phase, progress.generation) == ("measuring", 1):
            if progress.done == 1:
                time.sleep(TRAINED_S)
            elif progress.done == 2:
                trained.append(progress.trained)

    config = tiny(**MEASURED, workers=1, device=brief_device(folder.parent), **changes)
    start(config, folder, listener=listen)
    return trained


@pytest.mark.slow
def test_children_train_while_later_ones_are_measured_elsewhere(tmp_path, first_run, monkeypatch):
    monkeypatch.setattr(LinkedDevice, "is_elsewhere", True)
    assert trained_while_measuring(tmp_path / "run") == [INITIAL + 1]
    assert without_latency(told(tmp_path / "run")) == told(first_run[0])
    assert front(tmp_path / "run") == front(first_run[0])


def test_nothing_trains_while_this_machine_is_measured(tmp_path):
    assert trained_while_measuring(tmp_path / "run") == [INITIAL]


@pytest.mark.slow
def test_max_evaluations_leaves_the_same_children_untrained(tmp_path, monkeypatch):
    budget = {"max_evaluations": INITIAL + 1, "images_per_child": 320}
    monkeypatch.setattr(LinkedDevice, "is_elsewhere", True)
    start(tiny(**MEASURED, workers=1, device=brief_device(tmp_path), budget=budget), tmp_path / "run")
    assert [row.outcome.status for row in rows(tmp_path / "run")] == ["finished"] * (INITIAL + 1) + ["unfinished"]
