"""A run on disk: one folder with a SQLite database and a file of weights for each trained candidate.

One process writes, any number read. Whatever a method wrote is on the disk when it returns and survives a kill at any moment;
what was being written is there as a whole or not at all.
"""

import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any, Literal, Self

from hwnas.candidate import Candidate, Outcome
from hwnas.errors import RunFolderError, StoreError
from hwnas.store import checkpoints, schema, weights
from hwnas.store.codec import json_text, json_value, outcome_to_json
from hwnas.store.columns import CANDIDATE, ROWS, candidate_columns, event_of, measurement_of, outcome_of, row_of
from hwnas.store.creation import GIVEN, WEIGHTS, make, refuse_used
from hwnas.store.database import (
    DATABASE,
    connect,
    lock_for_writing,
    settle,
    temporary_copy,
    translated,
    use_write_ahead_log,
    writer_stamp,
)
from hwnas.store.records import Event, Measurement, MeasurementKind, Row

_CHUNK = 1000
HASHES = (("measurements", "profile_sha256"), ("measurements", "latency"), ("events", "payload"), ("meta", "value"))


class RunStore:
    """A run on disk, opened by ``create`` or ``open``; close it, or use it as a context manager.

    Use it from the thread that opened it. Every method raises StoreError where the disk is full or what it holds is damaged.
    """

    def __init__(
        self, folder: Path, connection: sqlite3.Connection, *, write: bool, resources: ExitStack, clock: Callable[[], float]
    ) -> None:
        """For ``create`` and ``open``."""
        self.folder = folder
        self._connection = connection
        self._write = write
        self._resources = resources
        self._clock = clock

    @classmethod
    def create(
        cls,
        folder: Path,
        *,
        config: str,
        meta: Mapping[str, object],
        given: Sequence[bytes] = (),
        clock: Callable[[], float] = time.time,
    ) -> "RunStore":
        """Make a run in a new or empty folder and open it for writing; ``config`` is JSON text, ``meta`` what JSON can hold.

        ``given`` are weights that the run begins with: on the disk before the run exists, never collected.

        Raises RunFolderError, and changes nothing, where the folder already holds something.
        """
        json_value(config, "the configuration of a run")
        entries = {name: json_text(value, f"meta {name}") for name, value in meta.items()} | {"config": config}
        refuse_used(folder)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunFolderError(f"{folder} cannot be made ({error.strerror}): choose another --out") from None
        with translated(folder), closing(lock_for_writing(folder)):
            refuse_used(folder)
            (folder / WEIGHTS).mkdir(exist_ok=True)
            make(folder, entries, given)
        return cls.open(folder, write=True, clock=clock)

    @classmethod
    def open(cls, folder: Path, *, write: bool, clock: Callable[[], float] = time.time) -> "RunStore":
        """Open a run and check its integrity; one of an older version is brought up to date, for reading in a temporary copy.

        Raises RunFolderError where the folder is not a run, belongs to a newer hwnas, or has another writer.
        """
        database = folder / DATABASE
        if not database.is_file():
            raise RunFolderError(f"{folder} is not the folder of a run: it has no {DATABASE}")
        with ExitStack() as resources, translated(folder):
            if write:
                resources.enter_context(closing(lock_for_writing(folder)))
            connection = resources.enter_context(closing(connect(database, write=write)))
            found = schema.version(connection, str(database))
            schema.check(connection, str(database))
            if found < schema.newest_version():
                if not write:  # who only reads changes nothing, and may not be able to
                    connection = resources.enter_context(closing(temporary_copy(connection)))
                schema.migrate(connection, found, schema.MIGRATIONS)
                schema.check(connection, str(database))
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute("PRAGMA synchronous = FULL")  # a commit is on the disk before it returns
            if write:
                use_write_ahead_log(connection, str(folder))
                connection.execute("INSERT OR REPLACE INTO meta VALUES ('writer', ?)", (writer_stamp(),))
            return cls(folder, connection, write=write, resources=resources.pop_all(), clock=clock)

    def close(self) -> None:
        """Close the database and let another writer in."""
        self._resources.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def config(self) -> str:
        """The configuration that the run was created with, as JSON text."""
        (text,) = self._one("SELECT value FROM meta WHERE name = 'config'", (), "configuration")
        return str(text)

    def meta(self, name: str, kind: Any = Any) -> Any:
        """A named value of the run, as a ``kind`` that pydantic knows. Raises StoreError where it was never set or is another."""
        (text,) = self._one("SELECT value FROM meta WHERE name = ?", (name,), f"meta value {name}")
        return json_value(text, f"meta {name}", kind)

    def find_meta(self, name: str, kind: Any = Any) -> Any:
        """A named value of the run, None where it was never set. Raises StoreError where it is damaged."""
        return self.meta(name, kind) if self._read("SELECT 1 FROM meta WHERE name = ?", (name,)) else None

    def set_meta(self, name: str, value: object) -> None:
        """Set or replace a named value of the run."""
        if name == "config":
            raise StoreError("the configuration of a run does not change; store what changes under another name")
        with self._transaction() as connection:
            connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, json_text(value, f"meta {name}")))

    def add_candidates(self, candidates: Sequence[Candidate], *, ask: Mapping[str, object] | None = None) -> None:
        """Store accepted candidates, whose parents are stored already, and as an event ``ask`` what the strategy says of them."""
        rows = [
            (candidate_columns(candidate), [(candidate.id, place, parent) for place, parent in enumerate(candidate.parents)])
            for candidate in candidates
        ]
        generation = candidates[0].generation if candidates else None
        with self._transaction() as connection:
            now = self._clock()
            try:
                for row, parents in rows:
                    connection.execute(CANDIDATE, (_next(connection), now, *row))
                    connection.executemany("INSERT INTO parents VALUES (?, ?, ?)", parents)
            except sqlite3.IntegrityError as error:
                names = ", ".join(parent for *_, parent in parents) or None
                raise StoreError(f"candidate {row[0]} is in the store already, or its parent {names} is not: {error}") from None
            if ask is not None:
                self._insert_event(connection, "ask", ask, generation)

    def add_outcome(self, outcome: Outcome, weights_data: bytes | None) -> None:
        """Store what came of a candidate, once; only an ``unfinished`` outcome is replaced.

        The weights are on the disk before the transaction that names them. ``None`` where the outcome has no weights, or
        names weights that are stored already. Raises StoreError for a second outcome, an unknown candidate and weights whose
        hash is not the one that the outcome names.
        """
        given = None if weights_data is None else weights.content_hash(weights_data)
        if given is not None and given != outcome.weights:
            raise StoreError(f"the outcome of {outcome.candidate_id} names weights {outcome.weights}, got weights {given}")
        record = outcome_to_json(outcome)
        self._must_write()
        self._check_may_finish(outcome)
        if weights_data is not None:
            with translated(self.folder):
                weights.write(self.folder / WEIGHTS, weights_data)
        elif outcome.weights is not None and not weights.exists(self.folder / WEIGHTS, outcome.weights):
            raise StoreError(f"the outcome of {outcome.candidate_id} names weights {outcome.weights}, which are not stored")
        with self._transaction() as connection:
            connection.execute(
                "INSERT INTO outcomes VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (candidate_id) DO UPDATE SET "
                "sequence = excluded.sequence, status = excluded.status, weights = excluded.weights, "
                "finished_at = excluded.finished_at, record = excluded.record",
                (_next(connection), outcome.candidate_id, outcome.status, outcome.weights, self._clock(), record),
            )

    def set_values(self, candidate_id: str, values: Mapping[str, float]) -> None:
        """Add or replace values measured after the search, of a candidate that has an outcome; its outcome stays as it is."""
        json_text(values, f"final values of {candidate_id}")
        with self._transaction() as connection:
            try:
                connection.executemany(
                    "INSERT OR REPLACE INTO final_values VALUES (?, ?, ?)",
                    [(candidate_id, name, float(value)) for name, value in values.items()],
                )
            except sqlite3.IntegrityError:
                raise StoreError(f"{candidate_id} has no outcome, so it has no final values either") from None

    def revise(
        self, outcomes: Sequence[Outcome], *, forget: Sequence[str] = (), meta: Mapping[str, object] | None = None
    ) -> None:
        """Replace stored outcomes in one transaction: the run continues with another device.

        ``forget`` names final values that hold no more, of whatever candidate; ``meta`` is set with them. Raises StoreError, and
        changes nothing, where a candidate has no outcome.
        """
        records = [(each.status, each.weights, outcome_to_json(each), each.candidate_id) for each in outcomes]
        entries = [(name, json_text(value, f"meta {name}")) for name, value in (meta or {}).items()]
        with self._transaction() as connection:
            for record in records:
                changed = connection.execute(
                    "UPDATE outcomes SET status = ?, weights = ?, record = ? WHERE candidate_id = ?", record
                )
                if changed.rowcount != 1:
                    raise StoreError(f"{record[-1]} has no outcome, so there is nothing to revise")
            connection.executemany("DELETE FROM final_values WHERE name = ?", [(name,) for name in forget])
            connection.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", entries)

    def add_measurement(
        self,
        architecture_id: str,
        kind: MeasurementKind,
        latency: Mapping[str, object],
        *,
        fingerprint_sha256: str,
        profile_sha256: str,
    ) -> None:
        """Store one latency of an architecture, measured on the device and profile of these hashes."""
        text = json_text(latency, f"the latency of {architecture_id}")
        with self._transaction() as connection:
            connection.execute(
                "INSERT INTO measurements VALUES (?, ?, ?, ?, ?, ?, ?)",
                (_next(connection), architecture_id, kind, fingerprint_sha256, profile_sha256, text, self._clock()),
            )

    def add_event(self, kind: str, payload: Mapping[str, object], *, generation: int | None = None) -> None:
        """Append an event; events are never changed."""
        with self._transaction() as connection:
            self._insert_event(connection, kind, payload, generation)

    def rename_hash(self, former: str, now: str) -> None:
        """Hold under another hash whatever is stored under a ``former`` one: measurements, events and named values."""
        with self._transaction() as connection:
            for table, column in HASHES:
                text = f"UPDATE {table} SET {column} = replace({column}, ?1, ?2) WHERE instr({column}, ?1)"
                connection.execute(text, (former, now))

    def rows(self) -> Iterator[Row]:
        """Every candidate with what came of it, by generation and slot; each row as it stands when it is reached."""
        final: dict[str, dict[str, float]] = {}
        for candidate_id, name, value in self._read("SELECT candidate_id, name, value FROM final_values"):
            final.setdefault(candidate_id, {})[name] = value
        place = (-1, -1)
        while chunk := self._read(f"{ROWS} WHERE (generation, slot) > (?, ?) ORDER BY generation, slot LIMIT {_CHUNK}", place):
            for columns in chunk:
                yield row_of(columns, final.get(columns[0], {}))
            place = chunk[-1][1:3]

    def row(self, candidate_id: str) -> Row:
        """One candidate with what came of it. Raises StoreError where there is no such candidate."""
        columns = self._one(f"{ROWS} WHERE id = ?", (candidate_id,), f"candidate {candidate_id}")
        return row_of(columns, dict(self._read("SELECT name, value FROM final_values WHERE candidate_id = ?", (candidate_id,))))

    def candidates(self) -> Iterator[Candidate]:
        """Every candidate, by generation and slot."""
        return (row.candidate for row in self.rows())

    def candidate(self, candidate_id: str) -> Candidate:
        """One candidate. Raises StoreError where there is no such candidate."""
        return self.row(candidate_id).candidate

    def outcomes(self) -> Iterator[Outcome]:
        """Every outcome, in the order in which they were stored."""
        for columns in self._read("SELECT candidate_id, record, status, weights FROM outcomes ORDER BY sequence"):
            yield outcome_of(*columns)

    def outcome(self, candidate_id: str) -> Outcome | None:
        """What came of a candidate; None while nothing has. Raises StoreError where there is no such candidate."""
        return self.row(candidate_id).outcome

    def weights(self, name: str) -> bytes:
        """The weights of this hash, in safetensors format. Raises StoreError where the file is missing, truncated or changed."""
        with translated(self.folder):
            return weights.read(self.folder / WEIGHTS, name)

    def set_checkpoint(self, candidate_id: str, data: bytes | None) -> None:
        """Keep where the training of a candidate stands, in place of what was kept before; None forgets it."""
        self._must_write()
        with translated(self.folder):
            if data is None:
                checkpoints.remove(self.folder / checkpoints.FOLDER, candidate_id)
            else:
                checkpoints.write(self.folder / checkpoints.FOLDER, candidate_id, data)

    def checkpoint(self, candidate_id: str) -> bytes | None:
        """Where the training of a candidate stood last; None where nothing whole is kept."""
        with translated(self.folder):
            return checkpoints.read(self.folder / checkpoints.FOLDER, candidate_id)

    def has_weights(self, name: str) -> bool:
        """Whether the weights of this hash are stored, damaged or not."""
        return weights.exists(self.folder / WEIGHTS, name)

    def measurements(self, kind: MeasurementKind | None = None, latency: Any = dict[str, Any]) -> Iterator[Measurement]:
        """Every latency measured, or those of a kind, in the order in which they were stored; ``latency`` as in ``events``."""
        for columns in self._read("SELECT * FROM measurements WHERE ?1 IS NULL OR kind = ?1 ORDER BY sequence", (kind,)):
            yield measurement_of(columns, latency)

    def events(self, kind: str | None = None, payload: Any = dict[str, Any]) -> Iterator[Event]:
        """Every event, or those of a kind, in the order in which they were stored.

        ``payload`` is what each holds, as a kind that pydantic knows. Raises StoreError naming an event that holds another.
        """
        condition, values = ("", ()) if kind is None else ("WHERE kind = ?", (kind,))
        for row in self._read(f"SELECT * FROM events {condition} ORDER BY sequence", values):
            yield event_of(row, payload)

    def last_event(self, kind: str, payload: Any = dict[str, Any]) -> Event | None:
        """The newest event of a kind, ``payload`` as in ``events``; None where there is none."""
        rows = self._read("SELECT * FROM events WHERE kind = ? ORDER BY sequence DESC LIMIT 1", (kind,))
        return event_of(rows[0], payload) if rows else None

    def collect(self, keep: Set[str] | Literal["all"]) -> int:
        """Delete weights that outcomes name and nothing needs; gives how many files went.

        ``"all"`` keeps what any outcome names; a set of candidate ids keeps theirs and those of the parents of candidates
        that still have to be trained. Outcomes stay as they are, and so do weights that no outcome names.
        """
        self._must_write()
        named = self._named_weights()
        if keep == "all":
            kept: Set[str] = named.keys()
        else:
            waiting = self._read(
                "SELECT DISTINCT parent FROM parents LEFT JOIN outcomes ON candidate_id = child "
                "WHERE status IS NULL OR status = 'unfinished'"
            )
            kept = keep | {parent for (parent,) in waiting}
        gone = set(named.values()) - {named[candidate] for candidate in kept & named.keys()} - self._given_weights()
        with translated(self.folder):
            return weights.remove(self.folder / WEIGHTS, gone)

    def settle(self) -> None:
        """Bring what was written into the database file itself, so that little hangs on the write-ahead log beside it."""
        self._must_write()
        with translated(self.folder):
            settle(self._connection)

    def unnamed_weights(self) -> list[str]:
        """Hashes of stored weights that neither an outcome names nor the run began with: one after a kill, many after a loss."""
        with translated(self.folder):
            found = weights.others(self.folder / WEIGHTS, frozenset())
        named = set(self._named_weights().values()) | self._given_weights()  # later: what is being written is not missed
        return [name for name in found if name not in named]

    def _named_weights(self) -> dict[str, str]:
        return dict(self._read("SELECT candidate_id, weights FROM outcomes WHERE weights IS NOT NULL"))

    def _given_weights(self) -> set[str]:
        return set(self.find_meta(GIVEN, list[str]) or ())  # None: an older version began with none

    def _must_write(self) -> None:
        if not self._write:
            raise StoreError(f"the run in {self.folder} was opened for reading; open it with write=True to change it")

    def _check_may_finish(self, outcome: Outcome) -> None:
        before = self.outcome(outcome.candidate_id)
        if before is not None and before.status != "unfinished":
            raise StoreError(f"{outcome.candidate_id} has an outcome already ({before.status}), got another ({outcome.status})")

    def _insert_event(
        self, connection: sqlite3.Connection, kind: str, payload: Mapping[str, object], generation: int | None
    ) -> None:
        text = json_text(payload, f"event {kind}")
        connection.execute(
            "INSERT INTO events VALUES (?, ?, ?, ?, ?)", (_next(connection), kind, generation, text, self._clock())
        )

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        self._must_write()
        with translated(self.folder), self._connection:
            self._connection.execute("BEGIN IMMEDIATE")
            yield self._connection

    def _read(self, statement: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        with translated(self.folder):
            return self._connection.execute(statement, tuple(values)).fetchall()

    def _one(self, statement: str, values: Sequence[object], what: str) -> tuple[Any, ...]:
        rows = self._read(statement, values)
        if not rows:
            raise StoreError(f"the run in {self.folder} has no {what}")
        return rows[0]


def _next(connection: sqlite3.Connection) -> int:
    found = connection.execute("UPDATE counter SET last = last + 1 RETURNING last").fetchall()
    if len(found) != 1:
        raise StoreError(f"the run is damaged: its counter has {len(found)} rows instead of one; restore it from a backup")
    return int(found[0][0])
