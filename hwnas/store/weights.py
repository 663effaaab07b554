"""Weights as files that are named by the hash of their content, in safetensors format."""

import os
from collections.abc import Set
from hashlib import sha256
from pathlib import Path

from hwnas.errors import StoreError

SUFFIX = ".safetensors"
_TEMPORARY = ".tmp"


def content_hash(data: bytes) -> str:
    """sha256 of the bytes, 64 hexadecimal digits: what `Outcome.weights` holds."""
    return sha256(data).hexdigest()


def write(folder: Path, data: bytes) -> str:
    """Write weights so that the file is whole or absent, whatever happens, and on the disk when this returns; gives its hash."""
    name = content_hash(data)
    temporary = folder / f"{name}{_TEMPORARY}"
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(folder / f"{name}{SUFFIX}")
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(folder)
    return name


def read(folder: Path, name: str) -> bytes:
    """The weights of this hash. Raises StoreError naming the file where it is missing, truncated or changed."""
    path = folder / f"{name}{SUFFIX}"
    if not path.is_file():  # a pipe would keep us waiting
        raise StoreError(f"{path} is missing: these weights were collected or deleted")
    data = path.read_bytes()
    if content_hash(data) != name:
        raise StoreError(
            f"{path} is damaged: its {len(data)} bytes do not have the hash in its name; restore it from a copy of the run, "
            "or leave out its model: export and faults take the ids of others with --models"
        )
    return data


def exists(folder: Path, name: str) -> bool:
    """Whether there is a file of this hash, checked or not."""
    return (folder / f"{name}{SUFFIX}").is_file()


def others(folder: Path, named: Set[str]) -> list[str]:
    """Hashes of the files of weights that are none of those named."""
    return sorted(path.stem for path in folder.glob(f"*{SUFFIX}") if path.stem not in named)


def remove(folder: Path, names: Set[str]) -> int:
    """Delete the weights of these hashes, and what interrupted writes left; gives how many files went."""
    going = {f"{name}{SUFFIX}" for name in names}
    gone = [path for path in folder.iterdir() if path.name in going or path.suffix == _TEMPORARY]
    for path in gone:
        path.unlink()
    return len(gone)


def sync_folder(folder: Path) -> None:
    """Make renames in a folder durable; Windows neither needs nor allows it."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
