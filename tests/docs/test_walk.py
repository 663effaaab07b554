"""What the pages ask a reader to type is typed, in their order, on a small run of digits or a few drawn pictures.

Names, ids, budgets and limits are replaced by those that fit what is there; nothing else is.
"""

import re
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest
from typer.testing import CliRunner

import hwnas
from hwnas.cli import app
from tests.conftest import Made
from tests.data.test_own_validation import folder as pictures
from tests.docs.test_commands import ROOT, shown, words_of

FITTING = {  # to a run that is tiny, has no latency, and is bad
    "--max-error 0.05": "--max-error 1",
    "--prefer latency": "--prefer parameters",
    "--prefer error=2,latency=1": "--prefer error=2,parameters=1",
    "--time-budget 10m": "--time-budget 1s",
}
SHORT = "--time-budget 12s --workers 0 --max-error 1"


def walk(page: str, fitting: Mapping[str, str], but: tuple[str, ...] = ()) -> list[str]:
    """Type the commands of a page in the current folder, ``but`` for those; gives the names of those that were typed.

    ``fitting``: what is typed in place of a whole command, else in place of a part of one.
    """
    commands = [each.text for each in shown(ROOT / "docs" / page) if each.whole and words_of(each.text)[0] not in but]
    parts = {said: fits for said, fits in fitting.items() if said not in commands}
    typed = []
    for command in commands:
        text = fitting.get(command, command)
        for said, fits in parts.items() if command not in fitting else ():
            text = text.replace(said, fits)
        done = CliRunner().invoke(app, words_of(text))
        assert done.exit_code == 0, f"{text}\n{done.output}"
        typed.append(words_of(text)[0])
    return typed


@pytest.fixture
def names(tiny_run: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The front of the run in runs/digits of the current folder, by ids."""
    shutil.copytree(tiny_run.folder, tmp_path / "runs" / "digits")
    monkeypatch.chdir(tmp_path)
    return [entry.id for entry in hwnas.open_run("runs/digits").front()]


def test_the_first_five_minutes(names: list[str]) -> None:
    typed = walk("index.md", FITTING, but=("search",))  # which made the run
    assert typed == ["front", "report", "pick", "export", "verify", "resume"]
    assert Path("runs/digits/report.html").is_file()
    assert Path("bundle/classify.py").is_file()


@pytest.mark.slow  # it measures, for ten seconds where the machine is busy
def test_choosing_and_shipping(names: list[str]) -> None:
    typed = walk("choosing-and-shipping.md", {**FITTING, "g2-1": names[0], "g0-7": names[1]})
    assert set(typed) == {"front", "report", "pick", "export", "verify", "measure"}
    assert list(Path("bundle").glob("*.int8.onnx"))


@pytest.mark.slow
def test_training_to_the_end(names: list[str]) -> None:
    here = {"runs/photos": "runs/digits", "g7-1": names[0], "g9-3": names[1], "--time-budget 1h": "--time-budget 3s"}
    whole_front = {"hwnas train runs/photos": f"hwnas train runs/digits --models {names[1]} --epochs 1"}
    typed = walk("train-to-the-end.md", {**whole_front, **here, "--epochs 100": "--epochs 1", "--max-latency-ms 5 ": ""})
    assert typed == ["train", "train", "train", "front", "pick"]
    assert sum(entry.is_trained for entry in hwnas.open_run("runs/digits").rows()) == 4


@pytest.mark.slow
def test_your_own_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    pictures(tmp_path / "photos", {"cat": 60, "dog": 60}, seed=0, size=(16, 16))
    pictures(tmp_path / "held_out", {"cat": 10, "dog": 10}, seed=1, size=(16, 16))
    page = ROOT / "docs" / "your-own-data.md"
    (settings,) = re.findall(r"^```toml\n(.*?)^```$", page.read_text(encoding="utf-8"), re.M | re.S)
    Path("run.toml").write_text(settings, encoding="utf-8")
    searches = [command.text for command in shown(page) if command.whole and "runs/photos" in command.text]
    own = {text: text.replace("runs/photos", f"runs/{number}") for number, text in enumerate(searches)}
    typed = walk(page.name, {text: fits.replace("--time-budget 30m", SHORT) for text, fits in own.items()})
    assert typed == ["data", "data", "data", "data", "search", "search", "search"]


@pytest.mark.slow
def test_resilience(names: list[str]) -> None:
    run = hwnas.open_run("runs/digits")
    run.export("mine", models=names[:1], precisions=["float32", "int8"])
    shutil.copy(f"mine/{names[0]}.onnx", "model.onnx")
    shutil.copy(f"mine/{names[0]}.int8.onnx", "model.int8.onnx")
    digits = {"--data photos --validation held_out": "--data digits --workers 0 --max-error 1", "--data photos": "--data digits"}
    here = {"g1-3,g2-1": ",".join(names[:2]), "g2-1": names[0], "--half-width 2": "--half-width 10"}
    typed = walk("resilience.md", {**digits, **here})
    assert typed == ["faults", "faults", "export", "faults", "search", "export", "faults"]


def test_the_front_that_the_page_shows_has_the_columns_of_the_command(names: list[str]) -> None:
    page = (ROOT / "docs" / "choosing-and-shipping.md").read_text(encoding="utf-8")
    heads = re.findall(r"^id +error.*$", page, re.M)
    printed = CliRunner().invoke(app, ["front", "runs/digits"]).output.splitlines()[0].split()
    assert len(heads) == 3
    assert all(head.split()[:4] == printed[:4] for head in heads)
