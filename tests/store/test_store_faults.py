"""Disks that are full, files that are damaged, storage that cannot be written."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from store_samples import finished, initial, weights_of

from hwnas.errors import StoreError
from hwnas.store import RunStore, content_hash

resource = pytest.importorskip("resource", reason="limits on file sizes are POSIX's")


@contextmanager
def no_file_above(size_bytes: int) -> Iterator[None]:
    """Let the system refuse to grow any file of this process beyond a size."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = shutil.which("mount")
    if mount is None or os.geteuid() != 0:
        pytest.skip("only root can mount a small file system")
    if subprocess.run([mount, "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)], capture_output=True).returncode:
        pytest.skip("this machine does not let root mount a small file system")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def fill(disk: Path) -> Path:
    """Take all the space that is left."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        while shutil.disk_usage(disk).free:
            file.write(b"\x00" * 4096)
    return filler


def check_nothing_half_written(store: RunStore) -> None:
    assert [row.id for row in store.rows()] == ["g0-0"]
    assert store.outcome("g0-0") is None
    assert not list(store.events())
    assert not list((store.folder / "weights").glob("*.tmp"))


def check_works_again(store: RunStore, data: bytes) -> None:
    store.add_outcome(finished("g0-0", data), data)
    store.add_event("warning", {"text": "x" * 1000})
    store.close()
    with RunStore.open(store.folder, write=False) as reader:
        assert reader.weights(content_hash(data)) == data
        assert len(list(reader.events())) == 1


def test_a_full_disk_while_writing_weights(small_disk: Path) -> None:
    data = weights_of(0, size=20_000)
    with RunStore.create(small_disk / "run", config="{}", meta={}) as store:
        store.add_candidates([initial(0)])
        filler = fill(small_disk)
        with pytest.raises(StoreError, match=r"disk that holds .*run is full.*free some space and resume"):
            store.add_outcome(finished("g0-0", data), data)
        check_nothing_half_written(store)
        filler.unlink()
        check_works_again(store, data)


def test_a_full_disk_while_committing(small_disk: Path) -> None:
    data = weights_of(0)
    with RunStore.create(small_disk / "run", config="{}", meta={}) as store:
        store.add_candidates([initial(0)])
        filler = fill(small_disk)
        with pytest.raises(StoreError, match="is full"):
            store.add_event("warning", {"text": "x" * 100_000})
        check_nothing_half_written(store)
        filler.unlink()
        check_works_again(store, data)


def test_a_read_only_disk_can_be_read(small_disk: Path) -> None:
    with RunStore.create(small_disk / "run", config="{}", meta={}) as store:
        store.add_candidates([initial(0)])
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with RunStore.open(small_disk / "run", write=False) as reader:
        assert reader.candidate("g0-0") == initial(0)
    with pytest.raises(StoreError, match="could not be read or written"):
        RunStore.open(small_disk / "run", write=True)


@pytest.mark.parametrize("size", [20_000, 50])
def test_a_write_that_the_system_refuses(tmp_path: Path, size: int) -> None:
    data = weights_of(0, size=size)
    with RunStore.create(tmp_path / "run", config="{}", meta={}) as store:
        store.add_candidates([initial(0)])
        written = (store.folder / "run.sqlite-wal").stat().st_size
        # Large weights break the limit themselves; small ones pass, and the commit that names them breaks it.
        with no_file_above(written + 100), pytest.raises(StoreError):
            store.add_outcome(finished("g0-0", data), data)
        check_nothing_half_written(store)
        check_works_again(store, data)


@pytest.mark.parametrize("damage", ["truncated", "flipped", "empty", "missing"])
def test_damaged_weights_are_named(tmp_path: Path, damage: str) -> None:
    data = weights_of(0)
    flipped = bytes([*data[:100], data[100] ^ 1, *data[101:]])
    with RunStore.create(tmp_path / "run", config="{}", meta={}) as store:
        store.add_candidates([initial(0), initial(1)])
        store.add_outcome(finished("g0-0", data), data)
        path = store.folder / "weights" / f"{content_hash(data)}.safetensors"
        path.unlink()
        if damage != "missing":
            path.write_bytes({"truncated": data[:-1], "flipped": flipped, "empty": b""}[damage])
        with pytest.raises(StoreError, match=rf"{path.name} is (damaged|missing)"):
            store.weights(content_hash(data))
        store.add_outcome(finished("g0-1", data), data)
        assert store.weights(content_hash(data)) == data
