"""Where networks are trained; what is absent here is only chosen, never used."""

import pytest
import torch

from hwnas.errors import ConfigError
from hwnas.training import device_of, training_device
from tests.training.samples import fresh


def test_gpus_come_first_and_processes_spread_over_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert training_device() == torch.device("cpu")
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert training_device() == torch.device("mps")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    chosen = set()
    for process in range(8):
        monkeypatch.setattr("os.getpid", lambda process=process: process)
        chosen.add(training_device())
    assert chosen == {torch.device("cuda", number) for number in range(4)}


def test_the_device_that_is_named_is_taken_and_one_that_is_not_there_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert training_device("cpu") == torch.device("cpu")
    assert training_device("cuda") == torch.device("cuda", 0)
    with pytest.raises(ConfigError, match=r"trainer\.device is mps, but torch finds only cuda, cpu here"):
        training_device("mps")


def test_a_network_says_where_its_tensors_are() -> None:
    assert device_of(fresh()) == torch.device("cpu")
    assert device_of(fresh().to("meta")) == torch.device("meta")
