"""What Python shows of a run, its networks and what is found out about them: a line each, and tables in notebooks."""

import shutil
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

import hwnas
from hwnas import api
from hwnas.api import BundleCheck, Run
from hwnas.api.showing import Front
from hwnas.campaign import FaultReport
from hwnas.campaign.results import NetworkResult
from hwnas.export import Manifest
from hwnas.export.manifest import ModelFile
from hwnas.export.verify import FileReport
from hwnas.tracking import Tracked
from tests.conftest import Made


@pytest.fixture
def run(tiny_run: Made) -> Run:
    return hwnas.open_run(tiny_run.folder)


class Cells(HTMLParser):
    """The texts of an HTML table's cells, row by row, and every tag."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.tags: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: object) -> None:
        self.tags.add(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_data(self, data: str) -> None:
        if self.rows:
            self.rows[-1][-1] += data


def test_a_notebook_shows_a_run_and_its_front_as_a_table(run: Run) -> None:
    front = run.front()
    table = Cells(front._repr_html_())
    assert table.rows[0][:3] == ["id", "error (95 %)", "parameters"]
    assert [row[0] for row in table.rows[1:]] == [entry.id for entry in front]
    assert any("balanced" in row[-1] for row in table.rows)
    shown = run._repr_html_()
    assert front._repr_html_() in shown
    assert f"{len(front)} networks on the front, 1 generation is done" in shown
    assert "no network yet" in Front([], run.objectives)._repr_html_()


def test_what_a_foreign_run_says_is_text_and_never_executed(run: Run) -> None:
    error, parameters, macs = run.objectives
    hostile = [error, parameters, replace(macs, title="<script>alert(1)</script>\u202e&")]
    text = Front(run.front(), hostile)._repr_html_()
    table = Cells(text)
    assert "script" not in table.tags
    assert "<script>alert(1)</script>\u202e&" in table.rows[0]
    run.folder = run.folder / "<b>"
    assert "<b>" not in run._repr_html_()


def test_a_front_is_a_list(run: Run) -> None:
    front = run.front()
    assert isinstance(front, list)
    assert front == list(front)
    assert front[:2] == [front[0], front[1]]


def test_a_run_that_is_gone_says_so_instead_of_failing(tiny_run: Made, tmp_path: Path) -> None:
    run = hwnas.open_run(shutil.copytree(tiny_run.folder, tmp_path / "run"))
    shutil.rmtree(run.folder)
    assert repr(run).startswith(f"<hwnas run in {run.folder}, which cannot be read now: ")
    assert "cannot be read now" in run._repr_html_()


def test_everything_says_in_a_line_what_it_is(run: Run) -> None:
    best, sha = run.front()[0], "0" * 64
    figures = f"{best.value('error'):.2%} error, {best.value('parameters'):,.0f} parameters"
    file = ModelFile(
        name="g.onnx", id="g", architecture_id="a", precision="int8", size_bytes=1, sha256=sha, difference=0.0,
        top1_agreement=1.0, metadata={},
    )  # fmt: skip
    report = FileReport(name="g.onnx", id="g", precision="int8", difference=None, allowed=0.0, problem="it was changed")
    result = NetworkResult(model="g", dtype="int8", target="weights", clean_error=0.1, single=None, curve=None, rows=())
    lines = {
        repr(best): f"<network {best.id}, on the front: {figures}>",
        repr(run.bands(2, by="parameters")[-1]): f"up to {run.bands(2, by='parameters')[-1].high:,.0f}",
        repr(run.pick()): f"<{run.pick().entry.id}, picked among {len(run.front())} models.",
        repr(Manifest(hwnas_version="1", references_sha256=sha, files=(file,))): "<bundle of g.onnx>",
        repr(BundleCheck(file=report)): "<g.onnx: it was changed>",
        repr(FaultReport(networks=(result, result), by_drop=(), by_area=())): "<faults of g (int8), g (int8)>",
        repr(api.devices(names=["local-cpu"])[0]): "<device local-cpu, ",
        repr(
            Tracked(tracker="MLflow", place="x", added=1, updated=0, known=2, left_out=3)
        ): "<MLflow, x: 1 networks added, 2 there",
        repr(run): "<hwnas run in ",
    }
    for line, said in lines.items():
        assert said in line
        assert (line[0], line[-1]) == ("<", ">")
        assert "\n" not in line
        assert len(line) < 250
