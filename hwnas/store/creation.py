"""How a run comes into being: as a whole, or not at all."""

import json
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path

from hwnas.errors import RunFolderError, StoreError
from hwnas.store import schema, weights
from hwnas.store.database import DATABASE, LOCK, use_write_ahead_log
from hwnas.store.weights import sync_folder

WEIGHTS = "weights"
GIVEN = "given_weights"  # the name under which a run keeps the hashes of the weights that it began with
_UNFINISHED = "new.sqlite"


def refuse_used(folder: Path) -> None:
    """Raise RunFolderError unless a run can be made here: what an interrupted ``create`` left does not count."""
    if not folder.exists():
        return
    if not folder.is_dir():
        raise RunFolderError(f"{folder} is a file; a run needs a folder: choose another --out")
    if (folder / DATABASE).exists():
        raise RunFolderError(f"{folder} already holds a run: resume it, or choose another --out")
    left_over = {folder / LOCK, folder / WEIGHTS, *folder.glob(f"{_UNFINISHED}*")}
    is_ours = (folder / LOCK).exists()  # what a kill left while the run was made
    if set(folder.iterdir()) - left_over or (any((folder / WEIGHTS).glob("*")) and not is_ours):
        raise RunFolderError(f"{folder} is not empty, and holds no run: choose another --out, or an empty folder")


def make(folder: Path, entries: Mapping[str, str], given: Sequence[bytes] = ()) -> None:
    """Write the ``given`` weights, then the database, under another name first: a run exists as a whole or not at all."""
    _clear(folder)
    new, names, is_whole = folder / _UNFINISHED, list[str](), False
    try:
        names += (weights.write(folder / WEIGHTS, data) for data in given)
        with closing(sqlite3.connect(new, isolation_level=None)) as connection:
            # Not yet with a write-ahead log: on a full disk closing leaves the content in the log without an error.
            connection.execute("PRAGMA synchronous = FULL")
            schema.make(connection)
            with connection:
                connection.execute("BEGIN IMMEDIATE")
                connection.executemany("INSERT INTO meta VALUES (?, ?)", [*entries.items(), (GIVEN, json.dumps(names))])
            use_write_ahead_log(connection, str(folder))
        left = [path.name for path in folder.glob(f"{_UNFINISHED}?*") if path.stat().st_size]
        if left:
            raise StoreError(f"{folder}: the new run is not whole in its database, {', '.join(left)} was left; is the disk full?")
        new.replace(folder / DATABASE)
        is_whole = True
    finally:
        _clear(folder)
        if not is_whole:
            weights.remove(folder / WEIGHTS, set(names))
    sync_folder(folder)


def _clear(folder: Path) -> None:
    for path in folder.glob(f"{_UNFINISHED}*"):
        path.unlink()
