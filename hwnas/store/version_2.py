"""From version 1 of the tables, which hwnas 0.1.0 wrote, to version 2.

1. A candidate may have several parents, training settings of its own and a genotype.
2. Architecture ids are made of operations' canonical spellings, no longer of how Python prints them, so they are computed again
   from the stored graphs, and measurements follow.
3. Profiles are hashed by the fields that differ from their defaults. A store does not know what a profile's defaults are, so it
   keeps the former hash of the run's profile as ``former_profile_sha256``, and the experiment that resumes the run renames it.

Stored values stay as they are.
"""

import json
import sqlite3
from hashlib import sha256

from pydantic_core import to_json

from hwnas.errors import GraphError
from hwnas.graph import architecture_id, from_json
from hwnas.store.codec import json_text

FORMER_PROFILE = "former_profile_sha256"
_CANDIDATES = (
    """
    CREATE TABLE new_candidates (
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
    ) STRICT
    """,
    """
    CREATE TABLE parents (
        child TEXT NOT NULL REFERENCES candidates (id),
        place INTEGER NOT NULL,
        parent TEXT NOT NULL REFERENCES candidates (id),
        PRIMARY KEY (child, place)
    ) STRICT, WITHOUT ROWID
    """,
    """
    INSERT INTO new_candidates
    SELECT sequence, id, generation, slot, operator, exact, architecture_id, cheap, '{}', NULL, created_at, steps FROM candidates
    """,
    "INSERT INTO parents SELECT id, 0, parent FROM candidates WHERE parent IS NOT NULL",
    "DROP TABLE candidates",
    "ALTER TABLE new_candidates RENAME TO candidates",
)


def to_version_2(connection: sqlite3.Connection) -> None:
    """Change the tables within the caller's transaction."""
    for statement in _CANDIDATES:
        connection.execute(statement)
    _rename_architectures(connection)
    _remember_profile(connection)


def _rename_architectures(connection: sqlite3.Connection) -> None:
    renamed: dict[str, str] = {}
    for candidate_id, former in connection.execute("SELECT id, architecture_id FROM candidates").fetchall():
        ((steps,),) = connection.execute("SELECT steps FROM candidates WHERE id = ?", (candidate_id,)).fetchall()
        try:
            now = architecture_id(from_json(json.dumps(json.loads(steps)[-1]["graph"])))
        except (LookupError, TypeError, json.JSONDecodeError, GraphError):
            continue  # damaged: stays as it is, and says so where its graph is asked for
        renamed[former] = now
        connection.execute("UPDATE candidates SET architecture_id = ? WHERE id = ?", (now, candidate_id))
    connection.executemany(
        "UPDATE measurements SET architecture_id = ? WHERE architecture_id = ?",
        [(now, former) for former, now in renamed.items()],
    )


def _remember_profile(connection: sqlite3.Connection) -> None:
    found = connection.execute("SELECT value FROM meta WHERE name = 'profile'").fetchone()
    if found is not None:
        former = sha256(to_json(json.loads(found[0]))).hexdigest()  # as version 0.1.0 wrote a profile: every field, in order
        connection.execute("INSERT INTO meta VALUES (?, ?)", (FORMER_PROFILE, json_text(former, FORMER_PROFILE)))
