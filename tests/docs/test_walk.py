"""What two pages ask a reader to type is typed, in their order, on a small run of digits; networks have that run's own ids."""

import re
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

import hwnas
from hwnas.cli import app
from tests.conftest import Made
from tests.docs.test_commands import ROOT, shown, words_of

NOT_TYPED = {"search": "the run is made by the search of a fixture"}
FITTING = {  # to a run that is tiny, has no latency, and is bad
    "--max-error 0.05": "--max-error 1",
    "--prefer latency": "--prefer parameters",
    "--prefer error=2,latency=1": "--prefer error=2,parameters=1",
    "--time-budget 10m": "--time-budget 1s",
}


def walk(page: str, folder: Path) -> list[str]:
    """Type the commands of a page in ``folder``, where the run lies in runs/digits; gives those that were typed."""
    first, second = (entry.id for entry in hwnas.open_run(folder / "runs" / "digits").front()[:2])
    typed = []
    for command in shown(ROOT / "docs" / page):
        text = command.text
        if not command.whole or words_of(text)[0] in NOT_TYPED:
            continue
        for said, fits in {**FITTING, "g2-1": first, "g0-7": second}.items():
            text = text.replace(said, fits)
        done = CliRunner().invoke(app, words_of(text))
        assert done.exit_code == 0, f"{text}\n{done.output}"
        typed.append(text)
    return typed


@pytest.fixture
def folder(tiny_run: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(tiny_run.folder, tmp_path / "runs" / "digits")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_first_five_minutes(folder: Path) -> None:
    typed = walk("index.md", folder)
    assert [words_of(text)[0] for text in typed] == ["front", "report", "pick", "export", "verify", "resume"]
    assert (folder / "runs" / "digits" / "report.html").is_file()
    assert (folder / "bundle" / "classify.py").is_file()


@pytest.mark.slow  # it measures, for ten seconds where the machine is busy
def test_choosing_and_shipping(folder: Path) -> None:
    typed = walk("choosing-and-shipping.md", folder)
    assert {words_of(text)[0] for text in typed} == {"front", "report", "pick", "export", "verify", "measure"}
    assert list((folder / "bundle").glob("*.int8.onnx"))


def test_the_front_that_the_page_shows_has_the_columns_of_the_command(folder: Path) -> None:
    page = (ROOT / "docs" / "choosing-and-shipping.md").read_text(encoding="utf-8")
    heads = re.findall(r"^id +error.*$", page, re.M)
    printed = CliRunner().invoke(app, ["front", "runs/digits"]).output.splitlines()[0].split()
    assert len(heads) == 2
    assert all(head.split()[:4] == printed[:4] for head in heads)
