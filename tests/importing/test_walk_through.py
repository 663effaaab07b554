"""The commands of docs/your-own-network.md, as they stand there, on a network and data of a test."""

import re
import shlex
from pathlib import Path

import pytest
from safetensors.torch import save_file
from typer.testing import CliRunner

from hwnas.cli import app
from tests.data.test_own_validation import folder
from tests.importing.brought import Photos

GUIDE = Path(__file__).parents[2] / "docs" / "your-own-network.md"
COMMANDS = re.findall(r"^    (hwnas .*)$", GUIDE.read_text(encoding="utf-8"), re.M)
QUICK = {"import": "", "search": "--workers 0 --out runs/mine", "train": "", "pick": "", "export": ""}


def test_the_guide_has_every_step() -> None:
    assert [command.split()[1] for command in COMMANDS] == list(QUICK)


@pytest.mark.slow
def test_every_command_does_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder(tmp_path / "photos", {"cat": 60, "dog": 60}, seed=0, size=(16, 16))
    folder(tmp_path / "held_out", {"cat": 10, "dog": 10}, seed=1, size=(16, 16))
    (tmp_path / "mynetworks.py").write_text("from tests.importing.brought import Photos as resnet20\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    save_file(Photos(seed=3).state_dict(), tmp_path / "resnet20.safetensors")
    for command in COMMANDS:
        words = shlex.split(command.replace("1h", "20s").replace("--max-latency-ms 5", "--max-latency-ms 50"))[1:]
        done = CliRunner().invoke(app, [*words, *shlex.split(QUICK[words[0]])])
        assert done.exit_code == 0, f"{command}\n{done.output}"
