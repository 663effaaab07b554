"""The tables of a run, their version, and the way from an older version to this one.

``sequence`` orders everything that was ever written, whatever the clock said; one counter serves all tables. ``record``,
``latency``, ``payload``, ``training``, ``genotype`` and ``value`` are JSON. ``parents`` holds those of a candidate in their
order, from place 0. ``operator``, ``exact`` and ``architecture_id`` follow from ``steps``; they are columns of their own so that
a table of 100,000 candidates needs no graph.
"""

import sqlite3
from collections.abc import Callable, Sequence
from typing import TypeAlias

from hwnas.errors import RunFolderError, StoreError
from hwnas.store.version_2 import to_version_2

APPLICATION_ID = 0x68776E73  # "hwns" in the header of the SQLite file
OLDEST_SQLITE = (3, 37)  # STRICT tables

TABLES = """
CREATE TABLE counter (last INTEGER NOT NULL) STRICT;
INSERT INTO counter VALUES (0);

CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;

CREATE TABLE candidates (
    sequence INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    generation INTEGER NOT NULL,
    slot INTEGER NOT NULL,
    operator TEXT NOT NULL,
    exact INTEGER NOT NULL,
    architecture_id TEXT NOT NULL,
    cheap TEXT NOT NULL,
    training TEXT NOT NULL DEFAULT '{}',
    genotype TEXT,
    created_at REAL NOT NULL,
    steps TEXT NOT NULL,
    UNIQUE (generation, slot)
) STRICT;

CREATE TABLE parents (
    child TEXT NOT NULL REFERENCES candidates (id),
    place INTEGER NOT NULL,
    parent TEXT NOT NULL REFERENCES candidates (id),
    PRIMARY KEY (child, place)
) STRICT, WITHOUT ROWID;

CREATE TABLE outcomes (
    sequence INTEGER PRIMARY KEY,
    candidate_id TEXT NOT NULL UNIQUE REFERENCES candidates (id),
    status TEXT NOT NULL,
    weights TEXT,
    finished_at REAL NOT NULL,
    record TEXT NOT NULL
) STRICT;

CREATE TABLE final_values (
    candidate_id TEXT NOT NULL REFERENCES outcomes (candidate_id),
    name TEXT NOT NULL,
    value REAL NOT NULL,
    PRIMARY KEY (candidate_id, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE measurements (
    sequence INTEGER PRIMARY KEY,
    architecture_id TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('search', 'final')),
    fingerprint_sha256 TEXT NOT NULL,
    profile_sha256 TEXT NOT NULL,
    latency TEXT NOT NULL,
    measured_at REAL NOT NULL
) STRICT;

CREATE TABLE events (
    sequence INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    generation INTEGER,
    payload TEXT NOT NULL,
    at REAL NOT NULL
) STRICT;
CREATE INDEX events_by_kind ON events (kind, sequence);
"""

Migration: TypeAlias = Callable[[sqlite3.Connection], None]
MIGRATIONS: tuple[Migration, ...] = (to_version_2,)
"""What leads from version 1 to 2, from 2 to 3, and so on; TABLES is always the newest version."""


def newest_version() -> int:
    """The version of TABLES."""
    return len(MIGRATIONS) + 1


def make(connection: sqlite3.Connection) -> None:
    """Make the tables of the newest version in an empty database, in one transaction."""
    connection.executescript(
        f"BEGIN; {TABLES} PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {newest_version()}; COMMIT;"
    )


def version(connection: sqlite3.Connection, name: str) -> int:
    """The version of a run's database. Raises RunFolderError where it holds no run, or one of a newer hwnas."""
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (found,) = connection.execute("PRAGMA user_version").fetchone()
    if application != APPLICATION_ID or found < 1:
        raise RunFolderError(f"{name} is a SQLite database, but not that of a run")
    if found > newest_version():
        raise RunFolderError(
            f"{name} has version {found}, this hwnas reads up to version {newest_version()}; use the newer hwnas that wrote it"
        )
    return int(found)


def migrate(connection: sqlite3.Connection, found: int, migrations: Sequence[Migration]) -> None:
    """Lead a database of version ``found`` to the newest, one transaction a version. Foreign keys must be off."""
    for number, migration in enumerate(migrations[found - 1 :], start=found + 1):
        with connection:
            connection.execute("BEGIN IMMEDIATE")
            migration(connection)
            connection.execute(f"PRAGMA user_version = {number}")


def check(connection: sqlite3.Connection, name: str) -> None:
    """Raise StoreError where pages of the database are damaged or a row names one that does not exist."""
    (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    orphans = connection.execute("PRAGMA foreign_key_check").fetchall()
    if found != "ok" or orphans:
        detail = found if found != "ok" else f"{len(orphans)} rows name rows that do not exist, first {orphans[0]}"
        raise StoreError(f"{name} is damaged ({detail}); restore it from a backup, or start a new run")
