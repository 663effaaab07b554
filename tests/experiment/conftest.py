"""Tiny real runs on digits, whose every value is deterministic: MACs stand in for latency.

They train in the process of the tests (workers 0) unless a test is about workers.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from hwnas.config import RunConfig, make_config
from hwnas.execution import EvaluationResult, EvaluationTask, evaluate_task
from hwnas.experiment import Ended, start
from hwnas.store import Row, RunStore

TINY: Mapping[str, Any] = {
    "workers": 0,
    "objectives": ("error", "parameters", "macs", "sensitivity"),
    "max_error": 1.0,  # so little trained, some are no better than guessing
    "lemonade": {"proposals": 8, "accepted": 2},
    "budget": {"generations": 1, "images_per_child": 320},
}


RESILIENT = ("error", "parameters", "macs", "expected_change")
PROFILES = Path(__file__).parents[2] / "hardware_profiles"
BRIEF = "[measurement]\ntime_limit_s = 0.05\nsearch_time_limit_s = 0.05\n"


def brief_device(folder: Path, name: str = "local-cpu") -> str:
    """The path of this profile with short measurements: a busy machine has their precision in many seconds or not at all."""
    path = folder / f"brief-{name}.toml"
    profile = (PROFILES / f"{name}.toml").read_text(encoding="utf-8")
    path.write_text(profile.partition("[measurement]")[0] + BRIEF, encoding="utf-8")
    return str(path)


def tiny(**changes: Any) -> RunConfig:
    return make_config({**TINY, **changes})


def rows(folder: Path) -> list[Row]:
    with RunStore.open(folder, write=False) as store:
        return list(store.rows())


def told(folder: Path) -> list[tuple[object, ...]]:
    """All of a run that must not depend on when or by whom it was worked out."""
    return [
        (row.id, row.parent, row.operator, row.architecture_id, row.outcome.status, dict(row.values), row.outcome.weights)
        for row in rows(folder)
    ]


def front(folder: Path) -> list[str]:
    with RunStore.open(folder, write=False) as store:
        return store.last_event("ended").payload["front"]


@pytest.fixture(scope="session")
def steered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose objectives include the expected change; tests copy it before they change it."""
    folder = tmp_path_factory.mktemp("runs") / "steered"
    start(tiny(objectives=RESILIENT, steering=True), folder)
    return folder


class InThisProcess:
    """An executor that evaluates in this process: what workers do, without the seconds that they take to start."""

    workers = 1

    def __init__(self) -> None:
        self._pending: list[EvaluationTask] = []

    def warm_up(self) -> None:
        pass

    def submit(self, task: EvaluationTask) -> None:
        self._pending.append(task)

    def wait(self, timeout_s: float | None = None) -> list[EvaluationResult]:
        return [evaluate_task(self._pending.pop(0))] if self._pending else []

    def cancel(self) -> None:
        self._pending.clear()

    def close(self) -> None:
        self.cancel()

    def __enter__(self) -> "InThisProcess":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@pytest.fixture
def in_this_process(monkeypatch) -> None:
    """No worker processes."""
    for module in ("run", "training"):
        monkeypatch.setattr(f"hwnas.experiment.{module}.executor_for", lambda context: InThisProcess(), raising=True)


@pytest.fixture(scope="session")
def first_run(tmp_path_factory) -> tuple[Path, Ended]:
    folder = tmp_path_factory.mktemp("runs") / "first"
    return folder, start(tiny(), folder)
