"""How a run comes into being: as a whole, or not at all."""

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from hwnas.errors import RunFolderError
from hwnas.store import schema
from hwnas.store.database import DATABASE, LOCK, use_write_ahead_log
from hwnas.store.weights import sync_folder

WEIGHTS = "weights"
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
    if set(folder.iterdir()) - left_over or any((folder / WEIGHTS).glob("*")):
        raise RunFolderError(f"{folder} is not empty, and holds no run: choose another --out, or an empty folder")


def make(folder: Path, entries: Mapping[str, str]) -> None:
    """Make the database under another name first, so that a run exists as a whole or not at all."""
    for path in folder.glob(f"{_UNFINISHED}*"):
        path.unlink()
    new = folder / _UNFINISHED
    with closing(sqlite3.connect(new, isolation_level=None)) as connection:
        use_write_ahead_log(connection, str(folder))
        schema.make(connection)
        with connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany("INSERT INTO meta VALUES (?, ?)", list(entries.items()))
    new.replace(folder / DATABASE)
    sync_folder(folder)
