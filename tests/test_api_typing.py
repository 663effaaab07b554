"""What the API says of its options by types is what it takes: no key more, none less, and mypy refuses what it refuses."""

import inspect
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import get_type_hints

import pytest

import hwnas
from hwnas import api
from hwnas.api.search_options import SearchOptions
from hwnas.campaign.settings import FaultOptions, FaultSettings
from hwnas.cli.searching import search
from hwnas.config import RunConfig
from hwnas.errors import ConfigError

ROOT = Path(__file__).parents[1]
CLI_ALONE = {"ctx", "config", "out", "quiet", "verbose"}
PROGRAM = """
import hwnas
from hwnas import api

def program(folder: str) -> None:
    run = hwnas.start(folder, data="photos", time_budget="30m", max_latency_ms=5, image_size=(8, 8), metric="balanced_error")
    run.faults(target="weights", bers=[1e-6, 1e-5])
    api.configured(seed=None, objectives=["error", "macs"])
    hwnas.start(folder, time_budgt="30m")
    hwnas.start(folder, workers="two")
    api.configured(fit="crops")
    run.faults(half_with=0.1)
"""
REFUSED = (9, 10, 11, 12)  # lines of it


def test_the_options_that_are_typed_are_those_that_are_taken() -> None:
    assert set(get_type_hints(SearchOptions)) == set(api.OPTIONS)
    for name, (section, *rest) in api.OPTIONS.items():
        assert section in RunConfig.model_fields, name
        assert len(rest) <= 1


def test_the_command_takes_no_option_that_the_api_does_not() -> None:
    assert set(inspect.signature(search).parameters) - CLI_ALONE <= set(get_type_hints(SearchOptions))


def test_the_fault_options_are_the_settings_of_a_campaign() -> None:
    assert set(get_type_hints(FaultOptions)) == {field.name for field in fields(FaultSettings)} - {"fault"}


def test_an_unknown_option_is_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"unknown option time_budgt \(did you mean time_budget\?\); known are seed, device"):
        hwnas.start("runs/never", time_budgt="1m")  # type: ignore[call-arg]
    with pytest.raises(ConfigError, match="unknown option zzz; known are"):
        api.configured(zzz=1)  # type: ignore[call-arg]


@pytest.mark.slow
def test_mypy_refuses_wrong_options_and_takes_right_ones(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    command = [sys.executable, "-m", "mypy", "--follow-imports=silent", str(tmp_path / "program.py")]  # with the project's cache
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, cwd=ROOT)
    found = [int(line.split(":")[1]) for line in done.stdout.splitlines() if "program.py:" in line and ": error:" in line]
    assert sorted(set(found)) == list(REFUSED), done.stdout + done.stderr
