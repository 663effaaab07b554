"""The device that the trainer's settings name is where a task is worked on, whatever else there is."""

import pytest
import torch

from hwnas.execution import evaluate_task, unpack
from hwnas.training import TrainerSettings
from tests.execution.conftest import tiny_task


def test_a_task_for_the_cpu_stays_there_where_there_is_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    result = evaluate_task(tiny_task(trainer=TrainerSettings(device="cpu")))
    assert result.failure is None
    assert result.weights is not None
    assert all(tensor.isfinite().all() for tensor in unpack(result.weights).values())


def test_a_device_that_a_worker_does_not_have_fails_the_task_and_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    result = evaluate_task(tiny_task(trainer=TrainerSettings(device="mps")))
    assert result.failure is not None
    assert result.failure.kind == "work_failed"
    assert "trainer.device is mps" in result.failure.message
