"""A search whose disk becomes full stops with one message, and continues when there is space."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from hwnas.store import RunStore
from tests.conftest import TINY, hwnas


def tmpfs(size: str, disk: Path, *more: str) -> int:
    options = ",".join((f"size={size}", *more))
    return subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(disk)], capture_output=True).returncode


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system that is full before the search ends."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if shutil.which("mount") is None or os.geteuid() != 0 or tmpfs("600k", folder):
        pytest.skip("only root can mount a small file system, and not everywhere")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def check_stopped(done: "subprocess.CompletedProcess[str]") -> None:
    assert done.returncode == 1, done.stderr
    assert done.stdout == ""
    complaint, advice = done.stderr.splitlines()
    assert complaint.startswith("error: the disk that holds run is full; what was being written is dropped as a whole")
    assert advice.endswith("Go on with: hwnas resume run")


def check_goes_on(folder: Path) -> None:
    with RunStore.open(folder / "run", write=False) as store:
        kept = {row.id: row.outcome for row in store.rows() if row.outcome is not None}
    done = hwnas("resume", "run", "--json", "--quiet", cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")
    with RunStore.open(folder / "run", write=False) as store:
        found = {row.id: row.outcome for row in store.rows()}
        assert all(store.weights(outcome.weights) for outcome in found.values())
    assert json.loads(done.stdout)["reused"] == len(kept)
    assert json.loads(done.stdout)["trained"] == len(found) - len(kept) > 0
    assert {candidate: found[candidate] for candidate in kept} == kept


def test_a_disk_that_becomes_full(disk: Path) -> None:
    (disk / "tiny.toml").write_text(TINY)
    check_stopped(hwnas("search", "--config", "tiny.toml", "--generations", 2, "--out", "run", "--quiet", cwd=disk))
    assert tmpfs("64m", disk, "remount") == 0
    check_goes_on(disk)
