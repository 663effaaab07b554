"""Ctrl-C in ``hwnas faults``: a real process and a real signal."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hwnas.api import open_run
from tests.conftest import Made, hwnas


def start(folder: Path, *options: object) -> "subprocess.Popen[str]":
    """The command at work: it has said how far a campaign is."""
    command = [sys.executable, "-c", "from hwnas.cli import main; main()", "faults", str(folder), *map(str, options)]
    # a test run in the background ignores Ctrl-C, and its children would, too
    default = lambda: signal.signal(signal.SIGINT, signal.default_int_handler)  # noqa: E731
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, preexec_fn=default)
    assert process.stderr is not None
    for line in process.stderr:
        if " faults, " in line or " trials, " in line:
            return process
    pytest.fail(f"the command ended with {process.wait()} before it said anything")


def rows(folder: Path) -> dict[str, list[str]]:
    return {path.name: path.read_text().splitlines() for path in (folder / "faults").glob("*.jsonl")}


@pytest.mark.parametrize("fault", ["single", pytest.param("ber", marks=pytest.mark.slow)])
def test_ctrl_c_keeps_what_was_tried_and_the_same_command_goes_on(tiny_run: Made, tmp_path: Path, fault: str) -> None:
    folder = Path(shutil.copytree(tiny_run.folder, tmp_path / "copy"))
    (model,) = (entry.id for entry in open_run(folder).front()[:1])
    process = start(folder, "--fault", fault, "--half-width", 0.001, "--models", model)
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=60)[1].splitlines()
    assert process.returncode == 130
    assert said[-1] == "Stopped; every fault that was tried is kept. The same command continues."
    before = rows(folder)
    assert any(len(lines) > 20 for lines in before.values())
    done = hwnas("faults", folder, "--fault", fault, "--half-width", 20, "--models", model)
    assert done.returncode == 0, done.stderr
    after = rows(folder)
    assert all(after[name][: len(lines)] == lines for name, lines in before.items())


def test_a_second_ctrl_c_ends_at_once(tiny_run: Made, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny_run.folder, tmp_path / "copy"))
    process = start(folder, "--fault", "single", "--half-width", 0.001)
    children = [int(task.name) for task in Path(f"/proc/{process.pid}/task").iterdir()]
    assert len(children) > 1  # campaigns run in threads, which the second one does not wait for
    os.kill(process.pid, signal.SIGINT)
    time.sleep(0.001)
    os.kill(process.pid, signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode in (130, -signal.SIGINT)
