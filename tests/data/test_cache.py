import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from hwnas.data import DataSettings
from hwnas.data.cache import cached
from hwnas.data.decoded import Decoded
from hwnas.data.decoding import decode_files
from hwnas.data.files import find_files
from tests.data.samples import noise, write_parquet

LABELS = [number % 3 for number in range(30)]


def through_cache(source: Path, settings: DataSettings) -> tuple[bool, Decoded]:
    """Return whether images were decoded, and what came."""
    files = find_files(source)
    calls = []

    def decode() -> Decoded:
        calls.append(1)
        return decode_files(files, settings, None)

    made = cached(files, settings, decode)
    return bool(calls), made


def hashes(source: Path, folder: Path, **settings: Any) -> tuple[bool, dict[str, str]]:
    """Return whether images were decoded, and the hashes of the splits."""
    fresh, made = through_cache(source, DataSettings(cache_folder=folder, **settings))
    return fresh, {name: split.sha256() for name, split in made.splits.items()}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    write_parquet(tmp_path / "set/train.parquet", noise(30), LABELS)
    write_parquet(tmp_path / "set/test.parquet", noise(12), LABELS[:12])
    return tmp_path / "set"


def test_images_are_decoded_once(source: Path, tmp_path: Path) -> None:
    first = hashes(source, tmp_path / "cache")
    second = hashes(source, tmp_path / "cache", seed=4)
    assert (first[0], second[0]) == (True, False)
    assert first[1] == second[1]
    assert len(list((tmp_path / "cache").iterdir())) == 1


def test_groups_are_kept(source: Path, tmp_path: Path) -> None:
    settings = DataSettings(cache_folder=tmp_path / "cache", group_by=r"path:^t\d+")
    made, kept = (through_cache(source, settings)[1] for _ in range(2))
    assert made.groups is not None
    assert kept.groups is not None
    assert made.groups.tolist() == kept.groups.tolist() == [number // 5 for number in range(30)]
    assert made.classes == kept.classes == ("0", "1", "2")


@pytest.mark.parametrize("damage", ["cut", "flipped", "emptied", "rubbish"])
def test_a_damaged_file_is_noticed_and_made_anew(
    damage: str, source: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = hashes(source, tmp_path / "cache")
    (kept,) = (tmp_path / "cache").iterdir()
    content = kept.read_bytes()
    flipped = content[:-9] + bytes([content[-9] ^ 1]) + content[-8:]
    kept.write_bytes({"cut": content[:-50], "flipped": flipped, "emptied": b"", "rubbish": b"rubbish" * 99}[damage])
    assert hashes(source, tmp_path / "cache") == first
    assert "is damaged" in caplog.text
    assert hashes(source, tmp_path / "cache") == (False, first[1])


def test_changed_files_and_settings_are_decoded_anew(source: Path, tmp_path: Path) -> None:
    hashes(source, tmp_path / "cache")
    assert hashes(source, tmp_path / "cache", image_size=(5, 5))[0]
    status = (source / "train.parquet").stat()
    os.utime(source / "train.parquet", ns=(status.st_atime_ns, status.st_mtime_ns + 1_000_000))
    assert hashes(source, tmp_path / "cache")[0]


def test_an_unwritable_folder_costs_only_time(source: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    assert hashes(source, tmp_path / "cache")[0]
    assert "cannot be kept" in caplog.text


@pytest.mark.skipif(sys.platform == "win32", reason="file size limits are POSIX")
def test_a_full_disk_leaves_no_partial_file(source: Path, tmp_path: Path) -> None:
    import resource

    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
        fresh, _ = hashes(source, tmp_path / "cache")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert fresh
    assert list((tmp_path / "cache").iterdir()) == []
