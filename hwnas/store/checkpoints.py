"""Trainings that are cut in parts: one file for each, replaced as a whole when the next part is done.

The hash of the content stands in the file's name, so that a damaged file is distinguished from a whole one.
"""

import os
from pathlib import Path

from hwnas.store.weights import SUFFIX, content_hash, sync_folder

FOLDER = "checkpoints"
_TEMPORARY = ".tmp"


def write(folder: Path, candidate_id: str, data: bytes) -> None:
    """Put a checkpoint in the place of the one before; either of them is whole and on the disk at any moment."""
    folder.mkdir(exist_ok=True)
    before = list(folder.glob(f"{candidate_id}.*"))
    path = folder / f"{candidate_id}.{content_hash(data)}{SUFFIX}"
    temporary = path.with_suffix(_TEMPORARY)
    with temporary.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    sync_folder(folder)
    for old in before:
        if old != path:
            old.unlink(missing_ok=True)


def read(folder: Path, candidate_id: str) -> bytes | None:
    """The newest whole checkpoint of a candidate; None where there is none."""
    found = sorted(folder.glob(f"{candidate_id}.*{SUFFIX}"), key=lambda path: path.stat().st_mtime_ns, reverse=True)
    for path in found:
        data = path.read_bytes()
        if path.name == f"{candidate_id}.{content_hash(data)}{SUFFIX}":
            return data
    return None


def remove(folder: Path, candidate_id: str) -> None:
    """Delete what there is of a candidate; its training is over."""
    for path in folder.glob(f"{candidate_id}.*"):
        path.unlink(missing_ok=True)
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
