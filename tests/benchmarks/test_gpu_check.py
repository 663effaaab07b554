"""The parts of the GPU check that work on the CPU too; its figures need a GPU, and it has none without one."""

import subprocess
import sys
from pathlib import Path

import gpu_check
import pytest
import torch

from hwnas.data import DataSettings, load
from tests.conftest import Made

SCRIPT = Path(gpu_check.__file__)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_says_so_and_has_no_figures(tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--quick", "--out", str(out)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 2
    assert "finds no CUDA GPU here" in done.stderr
    assert done.stdout == ""
    assert not out.exists()


def test_a_run_that_is_whole_is_found_so(tiny_run: Made, tmp_path: Path) -> None:
    rows = gpu_check.stored_networks(tiny_run.folder)
    assert rows
    assert gpu_check.share([row["whole"] for row in rows]) == 1
    assert max(row["images_apart"] for row in rows if row["images_apart"] is not None) < 1e-6
    passed = gpu_check.exported(tiny_run.folder, tmp_path / "bundle")
    assert passed
    assert all(passed)


def test_weights_that_are_not_finite_and_errors_that_moved_show(tiny_run: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    read = gpu_check.trained_state

    def damaged(store, row):
        state = read(store, row)
        return {name: torch.zeros_like(tensor) for name, tensor in state.items()} | {"nowhere": torch.tensor([float("nan")])}

    def scrambled(store, row):
        return {name: torch.zeros_like(tensor) for name, tensor in read(store, row).items()}

    monkeypatch.setattr(gpu_check, "trained_state", scrambled)
    assert max(row["images_apart"] or 0 for row in gpu_check.stored_networks(tiny_run.folder)) > 1
    monkeypatch.setattr(gpu_check, "trained_state", damaged)
    monkeypatch.setattr(gpu_check, "open_run", lambda folder: type("Empty", (), {"front": staticmethod(list)}))
    assert gpu_check.share([row["whole"] for row in gpu_check.stored_networks(tiny_run.folder)]) == 0


def test_both_loops_train_the_same_network() -> None:
    rows = gpu_check.throughput(load(DataSettings()), "cpu", steps=4, pairs=2)
    assert len(rows) == 2
    assert all(row["ratio"] > 0 for row in rows)
