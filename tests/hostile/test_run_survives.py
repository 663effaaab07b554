"""What happens to a run's files costs at most what was damaged, and says so: nothing that was trained is deleted."""

import json
import shutil
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from hwnas.cli import app
from hwnas.errors import RunFolderError, StoreError
from hwnas.store import RunStore, creation
from hwnas.store.database import DATABASE
from tests.faults.test_full_disk import tmpfs
from tests.hostile.hostile_samples import make_run

LOG = f"{DATABASE}-wal"
LOG_DAMAGES: dict[str, Callable[[bytes], bytes | None]] = {
    "deleted": lambda log: None,
    "empty": lambda log: b"",
    "header": lambda log: bytes(8) + log[8:],
    "half": lambda log: log[: len(log) // 2],
    "flipped": lambda log: log[: len(log) // 2] + bytes([log[len(log) // 2] ^ 255]) + log[len(log) // 2 + 1 :],
    "random": lambda log: bytes((7 * place) % 251 for place in range(len(log))),
}


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def killed(store: RunStore, folder: Path, damage: Callable[[bytes], bytes | None]) -> Path:
    """A copy of the run as a kill leaves it, its log damaged."""
    shutil.copytree(store.folder, folder, ignore=shutil.ignore_patterns("*-shm"))
    content = damage((folder / LOG).read_bytes())
    (folder / LOG).unlink()
    if content is not None:
        (folder / LOG).write_bytes(content)
    return folder


@pytest.mark.parametrize("damage", LOG_DAMAGES.values(), ids=LOG_DAMAGES)
def test_what_a_generation_settled_hangs_on_no_log(damage: Callable[[bytes], bytes | None], tmp_path: Path) -> None:
    with make_run(tmp_path / "run") as store:
        store.settle()
        for number in range(20):
            store.add_event("ask", {"number": number})
        copy = killed(store, tmp_path / "copy", damage)
    with RunStore.open(copy, write=True) as again:
        assert len(list(again.outcomes())) == 3
        assert again.unnamed_weights() == []


@pytest.mark.parametrize("damage", LOG_DAMAGES.values(), ids=LOG_DAMAGES)
def test_weights_whose_outcomes_are_lost_are_kept_and_told(damage: Callable[[bytes], bytes | None], tmp_path: Path) -> None:
    with make_run(tmp_path / "run") as store:
        copy = killed(store, tmp_path / "copy", damage)
    files = sorted(path.name for path in (copy / "weights").iterdir())
    with RunStore.open(copy, write=True) as again:
        named = {outcome.weights for outcome in again.outcomes()}
        lost = again.unnamed_weights()
        assert set(lost) == {name.partition(".")[0] for name in files} - named
        assert lost
        assert again.collect("all") == 0
        assert again.collect(set()) == len(named)
    assert len(list((copy / "weights").iterdir())) == len(lost)


def test_a_reader_is_told_of_lost_outcomes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_run(tmp_path / "run").close()
    assert "named by no outcome" not in invoke("front", tmp_path / "run").stderr
    with closing(sqlite3.connect(tmp_path / "run" / DATABASE)) as database, database:
        database.execute("DELETE FROM outcomes WHERE candidate_id = 'g1-1'")
    assert "named by no outcome" not in invoke("front", tmp_path / "run").stderr  # it may be about to be written
    monkeypatch.setattr("hwnas.report.status.NEW_S", -1.0)
    result = invoke("front", tmp_path / "run")
    assert (result.exit_code, result.stderr.count("1 file of weights is named by no outcome")) == (0, 1)


@pytest.mark.parametrize("size_kb", range(4, 180, 8))
def test_a_disk_that_fills_while_a_run_is_made_leaves_nothing_or_a_run(size_kb: int, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if tmpfs(f"{size_kb}k", disk):
        pytest.skip("only root can mount a small file system")
    try:
        try:
            RunStore.create(disk / "run", config="{}", meta={"facts": "x" * 20_000}).close()
        except (StoreError, RunFolderError):
            assert tmpfs("4m", disk, "remount") == 0
        if (disk / "run" / DATABASE).exists():
            RunStore.open(disk / "run", write=True).close()
        else:
            RunStore.create(disk / "run", config="{}", meta={"facts": "x" * 20_000}).close()
        with RunStore.open(disk / "run", write=False) as store:
            assert store.meta("facts") == "x" * 20_000
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_run_that_cannot_be_made_leaves_no_part_of_its_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(connection: sqlite3.Connection, name: str) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(creation, "use_write_ahead_log", fails)
    with pytest.raises(StoreError):
        RunStore.create(tmp_path / "run", config="{}", meta={})
    assert not list((tmp_path / "run").glob("*.sqlite*"))


RECORDS: dict[str, Callable[[dict[str, object]], object]] = {
    "no parameters": lambda record: record | {"values": {"error": 0.5}},
    "no error": lambda record: record | {"values": {"parameters": 1}},
    "no values": lambda record: record | {"values": {}},
    "a value of text": lambda record: record | {"values": {"error": "x", "parameters": 1}},
    "a value of nothing": lambda record: record | {"values": {"error": None, "parameters": 1}},
    "an error of 2": lambda record: record | {"values": {"error": 2, "parameters": 1}},
    "an infinite value": lambda record: record | {"values": {"error": 0.5, "parameters": "Infinity"}},
    "values of a list": lambda record: record | {"values": [0.5]},
    "another status": lambda record: record | {"status": "unfinished"},
    "an unknown status": lambda record: record | {"status": "great"},
    "no weights": lambda record: record | {"weights": None},
    "other weights": lambda record: record | {"weights": "0" * 64},
    "another candidate": lambda record: record | {"candidate_id": "g9-9"},
    "a failure": lambda record: record | {"failure": {"kind": "diverged", "message": ""}},
    "a curve of text": lambda record: record | {"curve": "up"},
    "seconds of text": lambda record: record | {"train_seconds": "long"},
    "a list": lambda record: [record],
    "a number": lambda record: 7,
    "nothing": lambda record: None,
    "nested": lambda record: "[" * 100_000,
}
CELLS = {
    "candidates": ("cheap", "training", "steps", "architecture_id"),
    "outcomes": ("record", "status", "weights"),
    "meta": ("value",),
}
TEXTS = {"empty": "", "no JSON": "{", "a list": "[1]", "null": "null", "NaN": "NaN", "deep": "[" * 100_000, "huge": "9" * 5000}


def check_told(run: Path) -> None:
    """Every reader says in one line that something stored is damaged, or does not need it."""
    for command in (("front",), ("pick",), ("report", "--replace"), ("export", "--out", run.parent / "bundle")):
        result = invoke(command[0], run, *command[1:])
        assert isinstance(result.exception, SystemExit | None), (command, result.exception)
        if result.exit_code:
            assert result.exit_code in (1, 2), result.output
            assert result.stderr.count("\n") == 1, result.stderr
            assert len(result.stderr) < 2000


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole") / "run"
    make_run(folder).close()
    return folder


@pytest.mark.parametrize("damage", RECORDS.values(), ids=RECORDS)
def test_a_damaged_outcome_is_one_message_in_every_reader(
    damage: Callable[[dict[str, object]], object], whole: Path, tmp_path: Path
) -> None:
    run = shutil.copytree(whole, tmp_path / "run")
    with closing(sqlite3.connect(run / DATABASE)) as database, database:
        ((record,),) = database.execute("SELECT record FROM outcomes WHERE candidate_id = 'g0-0'")
        found = damage(json.loads(record))
        text = found if isinstance(found, str) else json.dumps(found)
        database.execute("UPDATE outcomes SET record = ? WHERE candidate_id = 'g0-0'", (text,))
    result = invoke("front", run)
    assert result.exit_code == 1, result.output
    assert "outcome of g0-0 is damaged" in result.stderr
    check_told(run)


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
@pytest.mark.parametrize(("table", "column"), [(table, column) for table, columns in CELLS.items() for column in columns])
def test_a_damaged_cell_is_one_message_in_every_reader(table: str, column: str, text: str, whole: Path, tmp_path: Path) -> None:
    run = shutil.copytree(whole, tmp_path / "run")
    with closing(sqlite3.connect(run / DATABASE)) as database, database:
        database.execute(f"UPDATE {table} SET {column} = ?", (text,))
    check_told(run)


def test_an_empty_counter_is_damage(whole: Path, tmp_path: Path) -> None:
    run = shutil.copytree(whole, tmp_path / "run")
    with closing(sqlite3.connect(run / DATABASE)) as database, database:
        database.execute("DELETE FROM counter")
    with RunStore.open(run, write=True) as store, pytest.raises(StoreError, match="its counter has 0 rows"):
        store.add_event("start", {})


def test_a_text_that_is_no_utf_8_is_told_in_one_line(whole: Path, tmp_path: Path) -> None:
    run = shutil.copytree(whole, tmp_path / "run")
    with closing(sqlite3.connect(run / DATABASE)) as database, database:
        database.execute("UPDATE candidates SET steps = CAST(X'FF' || steps AS TEXT)")
    result = invoke("front", run)
    assert result.exit_code == 1
    assert len(result.stderr) < 500, result.stderr


def test_weights_that_a_run_was_to_begin_with_go_where_it_cannot_be_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as full:
        full.setattr(creation, "use_write_ahead_log", fails)
        with pytest.raises(StoreError):
            RunStore.create(tmp_path / "run", config="{}", meta={}, given=[b"weights"])
    assert not list((tmp_path / "run" / "weights").iterdir())
    (tmp_path / "run" / "weights" / f"{'0' * 64}.safetensors").write_bytes(b"of a kill")
    with RunStore.create(tmp_path / "run", config="{}", meta={}) as store:
        assert store.config == "{}"
