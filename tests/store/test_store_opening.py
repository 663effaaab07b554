import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from store_samples import finished, initial, weights_of

from hwnas.errors import RunFolderError, StoreError
from hwnas.store import RunStore, schema
from hwnas.store.database import use_write_ahead_log


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A closed run of one candidate with its outcome."""
    with RunStore.create(tmp_path / "run", config="{}", meta={}) as store:
        store.add_candidates([initial(0)])
        store.add_outcome(finished("g0-0", weights_of(0)), weights_of(0))
    return tmp_path / "run"


def execute(folder: Path, statement: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(folder / "run.sqlite", isolation_level=None)) as connection:
        return connection.execute(statement).fetchall()


def contents(folder: Path) -> dict[str, bytes]:
    """Every file but those in which SQLite coordinates its readers."""
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file() and not path.match("run.sqlite-*")}


def test_a_used_folder_is_left_as_it_is(tmp_path: Path, folder: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "notes.txt").write_text("mine")
    (tmp_path / "lost" / "weights").mkdir(parents=True)
    (tmp_path / "lost" / "weights" / "ab.safetensors").write_bytes(b"of a run without its database")
    used_folders = {
        folder: "already holds a run",
        other: "not empty",
        other / "notes.txt": "is a file",
        tmp_path / "lost": "not empty",
    }
    for used, message in used_folders.items():
        before = contents(tmp_path)
        with pytest.raises(RunFolderError, match=message):
            RunStore.create(used, config="{}", meta={})
        assert contents(tmp_path) == before


def test_what_is_not_a_run_is_refused(tmp_path: Path) -> None:
    for nothing in (tmp_path, tmp_path / "absent"):
        with pytest.raises(RunFolderError, match=r"not the folder of a run: it has no run\.sqlite"):
            RunStore.open(nothing, write=False)
    execute(tmp_path, "CREATE TABLE recipes (name TEXT)")
    with pytest.raises(RunFolderError, match="not that of a run"):
        RunStore.open(tmp_path, write=True)


def test_a_wrong_request_makes_no_folder(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="configuration"):
        RunStore.create(tmp_path / "run", config="{seed: 0}", meta={})
    with pytest.raises(StoreError, match="meta classes"):
        RunStore.create(tmp_path / "run", config="{}", meta={"classes": {1, 2}})
    assert not (tmp_path / "run").exists()
    (tmp_path / "file").touch()
    with pytest.raises(RunFolderError, match="cannot be made"):
        RunStore.create(tmp_path / "file" / "run", config="{}", meta={})


def test_an_interrupted_creation_is_no_obstacle(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "run"
    (folder / "weights").mkdir(parents=True)
    (folder / "run.lock").touch()
    (folder / "new.sqlite").write_bytes(b"half a header")
    (folder / "new.sqlite-wal").write_bytes(b"half a page")
    with RunStore.create(folder, config="{}", meta={}) as store:
        assert store.config == "{}"
    assert sorted(path.name for path in folder.iterdir()) == ["run.lock", "run.sqlite", "weights"]


def test_a_newer_version_is_refused_naming_both(folder: Path) -> None:
    execute(folder, "PRAGMA user_version = 7")
    before = contents(folder)
    for write in (True, False):
        with pytest.raises(RunFolderError, match="has version 7, this hwnas reads up to version 2"):
            RunStore.open(folder, write=write)
    assert contents(folder) == before


def colours(connection: sqlite3.Connection) -> None:
    connection.execute("CREATE TABLE tags (name TEXT) STRICT")
    connection.execute("ALTER TABLE tags ADD COLUMN colour TEXT")


def fails(connection: sqlite3.Connection) -> None:
    connection.execute("CREATE TABLE tags (name TEXT)")
    connection.execute("CREATE TABLE meta (name TEXT)")


def test_an_older_version_is_brought_up_to_date(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, colours))
    with RunStore.open(folder, write=True) as store:
        assert store.candidate("g0-0") == initial(0)
    assert execute(folder, "PRAGMA user_version") == [(3,)]
    assert execute(folder, "SELECT name, colour FROM tags") == []


def test_who_reads_an_older_version_changes_nothing_and_needs_no_lock(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with RunStore.open(folder, write=True):
        before = contents(folder)
        monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, colours))
        with RunStore.open(folder, write=False) as store:
            assert store.candidate("g0-0") == initial(0)
            assert store._read("SELECT name, colour FROM tags") == []
        assert contents(folder) == before
    assert execute(folder, "PRAGMA user_version") == [(2,)]


@pytest.mark.parametrize("write", [True, False])
def test_a_migration_that_fails_changes_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch, write: bool) -> None:
    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, fails))
    with pytest.raises(StoreError, match="table meta already exists"):
        RunStore.open(folder, write=write)
    assert execute(folder, "PRAGMA user_version") == [(2,)]
    assert execute(folder, "SELECT count(*) FROM sqlite_schema WHERE name = 'tags'") == [(0,)]


def test_damaged_pages_are_found_on_opening(folder: Path) -> None:
    database = folder / "run.sqlite"
    whole = database.read_bytes()
    page = int.from_bytes(whole[16:18], "big")
    damages = {
        "a page": whole[: 2 * page] + b"\xff" * page + whole[3 * page :],
        "the end": whole[: len(whole) // 2],
        "the header": b"\x00" * 100 + whole[100:],
        "everything": b"not a database at all" * 1000,
    }
    for what, damaged in damages.items():
        database.write_bytes(damaged)
        for write in (True, False):
            with pytest.raises(StoreError, match=r"run\.sqlite is damaged"):
                RunStore.open(folder, write=write)
            assert database.read_bytes() == damaged, what


def test_rows_that_name_nothing_are_found_on_opening(folder: Path) -> None:
    execute(folder, "DELETE FROM candidates")
    with pytest.raises(StoreError, match="1 rows name rows that do not exist"):
        RunStore.open(folder, write=False)


def test_without_a_write_ahead_log_the_folder_is_refused() -> None:
    with (
        closing(sqlite3.connect(":memory:")) as connection,
        pytest.raises(RunFolderError, match=r"journal mode memory.*local disk"),
    ):
        use_write_ahead_log(connection, "runs/a")


def test_every_commit_is_synced_before_it_returns(folder: Path) -> None:
    assert execute(folder, "PRAGMA journal_mode") == [("wal",)]
    with RunStore.open(folder, write=True) as store:
        for pragma, expected in (("synchronous", 2), ("foreign_keys", 1), ("busy_timeout", 30_000)):
            assert store._connection.execute(f"PRAGMA {pragma}").fetchone() == (expected,)


def test_a_store_that_was_closed_says_so(folder: Path) -> None:
    store = RunStore.open(folder, write=False)
    store.close()
    store.close()
    with pytest.raises(StoreError, match="closed"):
        store.row("g0-0")
