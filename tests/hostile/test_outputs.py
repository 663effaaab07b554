"""What a command writes takes the place of its own earlier output alone, and is there as a whole or not at all."""

import errno
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from hwnas.api.files import FAULTS, MEASUREMENT, PLOTS, REPORT, Kind, Output
from hwnas.cli import app
from hwnas.errors import RequestError
from hwnas.export import emit
from tests.export.samples import random_state
from tests.graphs import SAMPLES
from tests.hostile.hostile_samples import make_run

OURS = {
    "report": (REPORT, b'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>hwnas: run</title>'),
    "plots": (PLOTS, b"<!doctype html><html><head><meta charset='utf-8'><title>Faults</title>"),
    "faults": (FAULTS, b'{\n "settings": {\n  "fault": [\n   "ber"'),
    "measurement": (MEASUREMENT, b'{\n "model": "m.onnx",\n "device": "local-cpu",\n "latency_ms": 1.0,'),
}
FOREIGN = {
    "text": b"my thesis",
    "html": b"<!DOCTYPE html>\n<html><title>mine</title>",
    "json": b'{"model": "mine"}',
    "database": b"SQLite format 3\0",
    "onnx": b"\x08\x08\x12\x05hwnas",
    "zeros": bytes(100),
}


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.mark.parametrize(("kind", "before"), OURS.values(), ids=OURS)
@pytest.mark.parametrize("earlier", [True, False], ids=["ours", "empty"])
def test_an_earlier_output_is_replaced(kind: Kind, before: bytes, earlier: bool, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(before if earlier else b"")
    path.chmod(0o640)
    output = Output(path=path, kind=kind)
    output.refuse_unwritable()
    assert path.read_bytes() == (before if earlier else b"")
    output.write_text("new")
    assert path.read_text() == "new"
    assert path.stat().st_mode & 0o777 == 0o640
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("kind", [kind for kind, _ in OURS.values()], ids=OURS)
@pytest.mark.parametrize("content", [*FOREIGN.values(), *(content for _, content in OURS.values())], ids=[*FOREIGN, *OURS])
def test_what_is_not_of_the_kind_is_kept_unless_told(kind: Kind, content: bytes, tmp_path: Path) -> None:
    if content == dict(OURS.values())[kind]:
        return
    path = tmp_path / "file"
    path.write_bytes(content)
    for act in (Output.refuse_unwritable, Output.refuse_foreign, lambda output: output.write_text("new")):
        with pytest.raises(RequestError, match=r"it exists and is not .*--replace"):
            act(Output(path=path, kind=kind))
        assert path.read_bytes() == content
    Output(path=path, kind=kind, replace=True).write_text("new")
    assert path.read_text() == "new"


@pytest.mark.parametrize("name", ["run.sqlite", "run.sqlite-wal", "run.lock", "hwnas.log", "page.html", "weights/x", "faults/c"])
@pytest.mark.parametrize("replace", [True, False])
def test_nothing_else_is_written_into_a_run(name: str, replace: bool, tmp_path: Path) -> None:
    make_run(tmp_path / "run").close()
    (tmp_path / "run" / "faults").mkdir()
    link = tmp_path / "innocent.html"
    link.symlink_to(tmp_path / "run" / name)
    before = (tmp_path / "run" / "run.sqlite").read_bytes()
    for path in (tmp_path / "run" / name, link):
        options = ("--replace",) if replace else ()
        result = invoke("report", tmp_path / "run", "--out", path, *options)
        assert result.exit_code == 2, result.output
        assert "is for a run's own files" in result.stderr
    assert (tmp_path / "run" / "run.sqlite").read_bytes() == before


def test_a_report_lies_in_its_run_by_its_own_name(tmp_path: Path) -> None:
    make_run(tmp_path / "run").close()
    for _ in range(2):
        assert invoke("report", tmp_path / "run").exit_code == 0
    (tmp_path / "run" / "report.html").write_text("mine")
    assert invoke("report", tmp_path / "run").exit_code == 2
    assert invoke("report", tmp_path / "run", "--replace").exit_code == 0


@pytest.mark.parametrize("other", ["itself", "link", "hard link"])
def test_the_model_that_is_measured_is_kept(other: str, tmp_path: Path) -> None:
    model, target = tmp_path / "m.onnx", tmp_path / ("m.onnx" if other == "itself" else "other")
    model.write_bytes(emit(SAMPLES["flat"](), random_state(SAMPLES["flat"]())))
    if other == "link":
        target.symlink_to(model)
    elif other == "hard link":
        os.link(model, target)
    before = model.read_bytes()
    result = invoke("measure", model, "--json", target)
    assert (result.exit_code, model.read_bytes()) == (2, before), result.output
    result = invoke("faults", tmp_path, "--onnx", model, "--plot", target)
    assert (result.exit_code, model.read_bytes()) == (2, before), result.output


def test_a_disk_that_fills_leaves_the_file_of_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "report.html"
    kind, before = OURS["report"]
    path.write_bytes(before)

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RequestError, match="No space left on device"):
        Output(path=path, kind=kind).write_text("new")
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_stream_is_written_as_it_is() -> None:
    for kind, _ in OURS.values():
        output = Output(path=Path("/dev/null"), kind=kind)
        output.refuse_unwritable()
        output.write_text("new")
    assert not Path("/dev/null").is_file()


@pytest.mark.parametrize("kind", [kind for kind, _ in OURS.values()], ids=OURS)
def test_what_cannot_be_written_is_said_before_the_work(kind: Kind, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path, tmp_path / ("x" * 300), tmp_path / "file" / "below", tmp_path / "no" / "folder"):
        with pytest.raises(RequestError, match="cannot write"):
            Output(path=path, kind=kind).refuse_unwritable()
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
