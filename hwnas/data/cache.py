"""Decoded images kept on this machine: a data set is decoded once, and again where what was kept is damaged."""

import hashlib
import json
import logging
import os
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path

import platformdirs
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from hwnas.data.dataset import Split
from hwnas.data.decoded import Decoded
from hwnas.data.files import SourceFiles
from hwnas.errors import DataError
from hwnas.settings import DataSettings

# Raise it whenever decoding gives other pixels or the file another layout.
_VERSION = 3
_LOG = logging.getLogger(__name__)


def cached(files: SourceFiles, settings: DataSettings, decode: Callable[[], Decoded]) -> Decoded:
    """Return what `decode` once returned for these files, or call it now and keep that; what cannot be kept is logged."""
    folder = settings.cache_folder or platformdirs.user_cache_path("hwnas") / "data"
    path = folder / f"{cache_key(files, settings)}.safetensors"
    kept = _read(path)
    if kept is not None:
        return kept
    made = decode()
    try:
        _write(path, made)
    except (OSError, SafetensorError) as error:
        _LOG.warning("decoded images cannot be kept in %s (%s): they will be decoded again next time", folder, error)
    return made


def cache_key(files: SourceFiles, settings: DataSettings) -> str:
    """Return a hash of what decoding depends on: each file's path, size and time of change, and the settings that it reads."""
    stats = []
    for split, paths in files.splits.items():
        for path in paths:
            status = path.stat()
            stats.append([split, str(path), status.st_size, status.st_mtime_ns])
    read = [settings.image_size, settings.fit, settings.group_by, settings.label_column, settings.max_pixels]
    return hashlib.sha256(json.dumps([_VERSION, stats, read]).encode()).hexdigest()


def _read(path: Path) -> Decoded | None:
    """Return what is kept at `path`, None where nothing is or it is damaged."""
    if not path.exists():
        return None
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
        if metadata.get("checksum") != _checksum(tensors):
            raise DataError("its checksum differs")
        splits = {
            name: Split(images=tensors[f"{name}.images"], labels=tensors[f"{name}.labels"])
            for name in ("train", "validation", "test")
            if f"{name}.images" in tensors
        }
        sizes = {(height, width): count for height, width, count in json.loads(metadata["sizes"])}
        classes = tuple(json.loads(metadata["classes"]))
        return Decoded(classes=classes, splits=splits, groups=tensors.get("groups"), sizes=sizes)
    except (SafetensorError, DataError, OSError, KeyError, TypeError, ValueError) as error:
        _LOG.warning("%s is damaged (%s): the images are decoded again", path, error)
        return None


def _write(path: Path, made: Decoded) -> None:
    tensors = {f"{name}.images": split.images for name, split in made.splits.items()}
    tensors |= {f"{name}.labels": split.labels for name, split in made.splits.items()}
    if made.groups is not None:
        tensors["groups"] = made.groups
    sizes = [[*size, count] for size, count in made.sizes.items()]
    metadata = {"classes": json.dumps(made.classes), "sizes": json.dumps(sizes), "checksum": _checksum(tensors)}
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, suffix=".part")
    os.close(handle)
    try:
        save_file(tensors, name, metadata)
        os.replace(name, path)
    finally:
        Path(name).unlink(missing_ok=True)


def _checksum(tensors: dict[str, torch.Tensor]) -> str:
    """Return a CRC-32 of all contents: enough against damage, and fast."""
    value = 0
    for name in sorted(tensors):
        value = zlib.crc32(tensors[name].contiguous().numpy().data, value)
    return f"{value:08x}"
