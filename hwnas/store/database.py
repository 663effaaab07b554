"""A run's SQLite connection: how it is opened, who may write, and what its errors are called."""

import errno
import json
import os
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hwnas.errors import DiskFullError, RunFolderError, StoreError
from hwnas.store.schema import OLDEST_SQLITE

DATABASE = "run.sqlite"
LOCK = "run.lock"
BUSY_TIMEOUT_S = 30.0
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def connect(path: Path, *, write: bool) -> sqlite3.Connection:
    """Open an existing database in autocommit mode."""
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        raise StoreError(f"Python's SQLite must be 3.37 or newer, got {sqlite3.sqlite_version}; use a newer Python")
    mode = "rw" if write else "ro"
    log = Path(f"{path}-wal")
    if not write and not os.access(path.parent, os.W_OK) and not (log.exists() and log.stat().st_size):
        mode = "ro&immutable=1"  # a finished run on read-only storage, where SQLite cannot make its shared-memory file
    return sqlite3.connect(f"{path.resolve().as_uri()}?mode={mode}", uri=True, timeout=BUSY_TIMEOUT_S, isolation_level=None)


def temporary_copy(connection: sqlite3.Connection) -> sqlite3.Connection:
    """A copy that goes when it is closed, in memory as far as SQLite's cache reaches, then in a temporary file."""
    copy = sqlite3.connect("", isolation_level=None)
    connection.backup(copy)
    return copy


def use_write_ahead_log(connection: sqlite3.Connection, name: str) -> None:
    """Switch to WAL, in which readers and a writer do not wait for each other. Raises RunFolderError where that is impossible."""
    (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode != "wal":
        raise RunFolderError(
            f"{name}: SQLite's write-ahead log does not work here (journal mode {mode}), as on many network file systems; "
            "choose a folder on a local disk"
        )


def lock_for_writing(folder: Path) -> sqlite3.Connection:
    """Become the one writer of a run, until the connection returned is closed or its process dies, however it dies.

    The lock is SQLite's own, on an empty database beside the run's: it works wherever SQLite does, and forked children do not
    inherit it. Raises RunFolderError where another writer is at work.
    """
    lock = sqlite3.connect(folder / LOCK, timeout=0, isolation_level=None)
    try:
        lock.execute("PRAGMA journal_mode = OFF")  # nothing is ever written, so no journal file need lie about
        lock.execute("BEGIN EXCLUSIVE")
    except sqlite3.OperationalError as error:
        lock.close()
        if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
            raise
        raise RunFolderError(
            f"{folder} is being written by {_writer(folder / DATABASE)}; wait for it or stop it "
            "(commands that only read, such as hwnas front, work meanwhile)"
        ) from None
    return lock


def writer_stamp() -> str:
    """Who this process is, as JSON, for the message above."""
    return json.dumps({"pid": os.getpid(), "host": socket.gethostname()})


def _writer(database: Path) -> str:
    if not database.is_file():
        return "another process"
    connection = connect(database, write=False)
    try:
        row = connection.execute("SELECT value FROM meta WHERE name = 'writer'").fetchone()
    finally:
        connection.close()
    stamp = json.loads(row[0]) if row else {}
    return f"process {stamp.get('pid', 'unknown')} on {stamp.get('host', 'an unknown host')}"


def settle(connection: sqlite3.Connection) -> None:
    """Bring what is in the write-ahead log into the database, and empty the log: its half would undo what the whole holds.

    Waits for nobody: while others read, the log stays, and is emptied the next time.
    """
    connection.execute("PRAGMA busy_timeout = 0")
    try:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    finally:
        connection.execute(f"PRAGMA busy_timeout = {round(1000 * BUSY_TIMEOUT_S)}")


@contextmanager
def translated(folder: Path) -> Iterator[None]:
    """Turn the errors of SQLite and of the file system into StoreError that says what to do."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL or getattr(error, "errno", None) in _FULL:
            raise DiskFullError(
                f"the disk that holds {folder} is full; what was being written is dropped as a whole: "
                "free some space and resume the run"
            ) from error
        if getattr(error, "sqlite_errorcode", None) in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            raise StoreError(f"{folder / DATABASE} is damaged ({error}); restore it from a backup, or start a new run") from error
        said = str(error).partition(" with text ")[0]  # SQLite's of a text that is no UTF-8 has the whole text
        raise StoreError(f"the run in {folder} could not be read or written: {said}") from error
