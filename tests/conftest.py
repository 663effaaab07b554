"""One tiny real search, made by the command itself, that the tests of what reads a run share."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # tests import onnxruntime before hwnas, which sets it too

TINY = """
objectives = ["error", "parameters", "macs"]
max_error = 1.0  # some are no better than guessing
workers = 1
[lemonade]
proposals = 8
accepted = 4
[budget]
images_per_child = 640
"""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """What a test logged may name a file whose name is no UTF-8, which xdist cannot send to the process that reports."""
    report = yield
    report.sections = [(name, text.encode(errors="backslashreplace").decode()) for name, text in report.sections]
    return report


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A finished run, and what the command said while it made it."""

    folder: Path
    stdout: str
    stderr: str


def hwnas(*arguments: object, cwd: Path | None = None, **settings: Any) -> "subprocess.CompletedProcess[str]":
    """The command in a process of its own."""
    command = [sys.executable, "-c", "from hwnas.cli import main; main()", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=180, check=False, cwd=cwd, **settings)


if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # in the background of a script: tests send Ctrl-C to themselves and others
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Two generations on digits, in ten seconds; copy its folder before you change it. Made once for all of xdist's workers."""
    common = tmp_path_factory.getbasetemp()
    place = (common.parent if "PYTEST_XDIST_WORKER" in os.environ else common) / "tiny"
    with FileLock(place.with_suffix(".lock")):
        if not (place / "said.json").exists():
            place.mkdir()
            (place / "tiny.toml").write_text(TINY)
            done = hwnas("search", "--config", "tiny.toml", "--generations", 1, "--out", "run", cwd=place)
            assert done.returncode == 0, done.stderr
            (place / "said.json").write_text(json.dumps([done.stdout, done.stderr]))
    stdout, stderr = json.loads((place / "said.json").read_text())
    return Made(folder=place / "run", stdout=stdout, stderr=stderr)
