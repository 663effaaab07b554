"""A search on a Ray cluster whose head is lost stops with one message, and continues when there is a head again."""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from hwnas.store import RunStore
from tests.conftest import TINY, hwnas
from tests.execution.conftest import until

ENVIRONMENT = {**os.environ, "RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0"}


def answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


@contextmanager
def head(port: int) -> Iterator[None]:
    """A cluster of one CPU; when it is left, all its processes are killed at once."""
    folder = tempfile.mkdtemp(prefix="ray", dir="/tmp")  # Ray's sockets need short paths
    options = (f"--port={port}", "--num-cpus=1", "--include-dashboard=false", "--block", f"--temp-dir={folder}")
    command = [str(Path(sys.executable).parent / "ray"), "start", "--head", *options]
    with subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            until(lambda: answers(port))
            yield
        finally:
            for each in (*psutil.Process(process.pid).children(recursive=True), process):
                with contextlib.suppress(psutil.NoSuchProcess):
                    each.kill()
    shutil.rmtree(folder, ignore_errors=True)


def finished(folder: Path) -> dict[str, object]:
    if not (folder / "run.sqlite").exists():
        return {}
    with RunStore.open(folder, write=False) as store:
        return {row.id: row.outcome for row in store.rows() if row.outcome and row.outcome.status == "finished"}


@pytest.mark.slow
def test_a_lost_head_stops_the_run_and_resuming_goes_on(tmp_path: Path) -> None:
    with socket.socket() as chosen:
        chosen.bind(("127.0.0.1", 0))
        port = chosen.getsockname()[1]
    (tmp_path / "tiny.toml").write_text(f'{TINY}\nchild_time = "60s"\n')
    run = tmp_path / "run"
    program = [sys.executable, "-c", "from hwnas.cli import main; main()", "search", "--config", "tiny.toml", "--out", "run"]
    options = ["--generations", "1", "--executor", "ray", "--ray-address", f"127.0.0.1:{port}", "--quiet"]
    with head(port):
        searching = subprocess.Popen(
            [*program, *options], cwd=tmp_path, env=ENVIRONMENT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        until(lambda: searching.poll() is not None or len(finished(run)) >= 3, 240)
    out, err = searching.communicate(timeout=120)
    assert (searching.returncode, out) == (1, ""), err
    complaint, advice = err.splitlines()
    assert f"the head of the Ray cluster at 127.0.0.1:{port} was lost; start it again" in complaint
    assert advice.endswith("Go on with: hwnas resume run")
    kept = finished(run)
    assert len(kept) >= 3
    with head(port):
        done = hwnas("resume", "run", "--quiet", cwd=tmp_path, env=ENVIRONMENT)
    assert (done.returncode, done.stderr) == (0, "")
    found = finished(run)
    assert {candidate: found[candidate] for candidate in kept} == kept
    with RunStore.open(run, write=False) as store:
        assert {row.outcome.status for row in store.rows() if row.outcome} == {"finished"}
