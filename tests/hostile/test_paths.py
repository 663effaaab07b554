"""Whatever a path argument leads to, the command ends in one message and exit code 2, and never waits."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from hwnas.cli import app
from hwnas.cli.console import printable
from hwnas.export import emit
from hwnas.store import RunStore
from tests.export.samples import random_state
from tests.graphs import SAMPLES
from tests.hostile.hostile_samples import make_run

COMMANDS: dict[str, tuple[str, ...]] = {
    "front": ("front", "PATH"),
    "pick": ("pick", "PATH"),
    "report": ("report", "PATH"),
    "resume": ("resume", "PATH", "--quiet"),
    "train": ("train", "PATH", "--quiet"),
    "export": ("export", "PATH", "--out", "bundle"),
    "faults": ("faults", "PATH", "--quiet"),
    "verify": ("verify", "PATH"),
    "measure": ("measure", "PATH"),
    "measure --device": ("measure", "net.onnx", "--device", "PATH"),
    "measure --json": ("measure", "net.onnx", "--json", "PATH/x"),
    "devices --device": ("devices", "--device", "PATH"),
    "search --data": ("search", "--data", "PATH", "--out", "new", "--generations", "0"),
    "search --config": ("search", "--config", "PATH", "--out", "new"),
    "search --device": ("search", "--device", "PATH", "--out", "new", "--generations", "0"),
    "faults --json": ("faults", "run", "--json", "PATH/x"),
    "faults --plot": ("faults", "run", "--plot", "PATH/x"),
}
PATHS = {
    "a long name": "x" * 300,
    "a long path": "/".join(["y" * 200] * 30),
    "no such user": "~nosuchuser/x.toml",
    "below a file": "file/below.toml",
    "missing": "missing/file.toml",
    "a pipe": "pipe.toml",
    "a loop of links": "loop.toml",
    "escapes": "\x1b]0;owned\x07\x1b[2J.toml",
    "markup": "[/bold][red].toml",
    "no UTF-8": os.fsdecode(b"\xff\xfe.toml"),
}


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def check_refused(result: Result, codes: tuple[int, ...] = (2,)) -> None:
    assert isinstance(result.exception, SystemExit | None), repr(result.exception)
    assert result.exit_code in codes, result.output
    assert "this is a bug" not in result.output
    assert "\x1b" not in result.output
    assert result.stderr.startswith(("error: ", "Usage: "))


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    make_run(tmp_path / "run").close()
    (tmp_path / "net.onnx").write_bytes(emit(SAMPLES["flat"](), random_state(SAMPLES["flat"]())))
    (tmp_path / "file").touch()
    (tmp_path / "loop.toml").symlink_to("loop.toml")
    os.mkfifo(tmp_path / "pipe.toml")
    return tmp_path


@pytest.mark.parametrize("path", PATHS.values(), ids=PATHS)
def test_a_path_that_leads_nowhere_is_one_message(path: str, place: Path) -> None:
    before = sorted(each.name for each in place.iterdir())
    for name, command in COMMANDS.items():
        if path == PATHS["a pipe"] and name == "search --config":
            continue  # a shell's <(..) is one
        result = invoke(*(part.replace("PATH", path) for part in command))
        try:
            check_refused(result)
        except AssertionError as error:
            raise AssertionError(f"{name}: {error}") from error
    assert sorted(each.name for each in place.iterdir()) == before


@contextmanager
def as_nobody() -> Iterator[None]:
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_what_may_not_be_read_is_one_message(place: Path) -> None:
    closed = place / "closed"
    closed.mkdir()
    (place / "run").rename(closed / "run")
    (closed / "x.toml").touch()
    path = "closed/run/x.toml"
    for command in COMMANDS.values():  # loads all that is loaded late
        invoke(*(part.replace("PATH", "missing") for part in command))
    place.chmod(0o755)
    closed.chmod(0o700)
    for name, command in COMMANDS.items():
        with as_nobody():
            result = invoke(*(part.replace("PATH", path) for part in command))
        try:
            check_refused(result, (1, 2))
        except AssertionError as error:
            raise AssertionError(f"{name}: {error}") from error


@pytest.mark.parametrize("damage", ["pipe", "folder", "link"])
def test_weights_that_are_no_file_are_told(damage: str, place: Path) -> None:
    with RunStore.open(place / "run", write=False) as store:
        named = [outcome.weights for outcome in store.outcomes()]
    for name in named:
        path = place / "run" / "weights" / f"{name}.safetensors"
        path.unlink()
        if damage == "pipe":
            os.mkfifo(path)
        elif damage == "folder":
            path.mkdir()
        else:
            path.symlink_to(path)
    for command in ("export", "faults"):
        result = invoke(command, place / "run", *(("--out", "bundle") if command == "export" else ("--quiet",)))
        check_refused(result, (1, 2))


def test_no_control_character_reaches_the_terminal() -> None:
    every = "".join(map(chr, range(0x300))) + "\u202e\u2066\u200f"
    shown = printable(every)
    assert [char for char in shown if ord(char) < 32 or 127 <= ord(char) < 160 or char in "\u202e\u2066\u200f"] == ["\t", "\n"]
    assert printable("Ünïcode, 漢字, é\n") == "Ünïcode, 漢字, é\n"


def test_a_foreign_run_writes_neither_escapes_nor_markup(place: Path) -> None:
    import sqlite3

    evil = "[/x]\x1b]0;owned\x07[bold]"
    database = sqlite3.connect(place / "run" / "run.sqlite")
    with database:
        database.execute("UPDATE candidates SET operator = ?", (evil,))
    database.close()
    for command in (("front", "--all-columns"), ("front", "--format", "csv"), ("front", "--format", "json")):
        result = invoke(command[0], place / "run", *command[1:])
        assert result.exit_code == 0, result.output
        assert "\x1b" not in result.output
        assert "[/x]" in result.output
