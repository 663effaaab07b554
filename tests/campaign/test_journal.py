"""Campaign files: begun, damaged, or written by two at once."""

import subprocess
import sys
from pathlib import Path
from subprocess import PIPE

import pytest

from hwnas.campaign import Stage
from hwnas.errors import ConfigError, StoreError
from tests.campaign.test_campaign import campaign, silent
from tests.injection.injection_samples import SAMPLES, program


@pytest.mark.parametrize("kept", [0, 50, -1])
def test_a_file_whose_first_line_was_not_written_is_begun_anew(tmp_path: Path, kept: int) -> None:
    made, path = program(SAMPLES["flat"]()), tmp_path / "c.jsonl"
    campaign(made, half_width=5.0).single(path, silent)
    whole = path.read_text()
    path.write_text(whole.splitlines(keepends=True)[0][:kept])  # killed, or the disk was full
    campaign(made, half_width=5.0).single(path, silent)
    assert path.read_text() == whole


def test_the_second_of_two_campaigns_on_one_file_stops_and_spoils_nothing(tmp_path: Path) -> None:
    made, path = program(SAMPLES["flat"]()), tmp_path / "c.jsonl"

    def meanwhile(stage: Stage) -> None:
        campaign(made, half_width=5.0).single(path, silent)

    with pytest.raises(StoreError, match="another process"):
        campaign(made, half_width=1.0).single(path, meanwhile)
    campaign(made, half_width=1.0).single(path, silent)
    campaign(made, half_width=1.0).single(tmp_path / "whole.jsonl", silent)
    assert path.read_text() == (tmp_path / "whole.jsonl").read_text()


@pytest.mark.parametrize("fault", ["single", "ber"])
@pytest.mark.parametrize("damage", ["5", "[]", "{}", '{ROW, "drop": null, "cost": null, "accuracy": null}'])
def test_rows_that_are_damaged_are_refused(tmp_path: Path, fault: str, damage: str) -> None:
    made, path = program(SAMPLES["flat"]()), tmp_path / "c.jsonl"
    tried = campaign(made, fault=fault, bers=(1e-3, 1e-1), half_width=20.0)
    work = tried.curve if fault == "ber" else tried.single
    work(path, silent)
    first, row, *others = path.read_text().splitlines()
    path.write_text("\n".join([first, damage.replace("ROW", row[1:-1]), *others, ""]))
    with pytest.raises((ConfigError, StoreError), match="start again"):
        work(path, silent)


def test_a_campaign_file_that_cannot_be_read_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no campaign file"):
        campaign(program(SAMPLES["flat"]()), half_width=5.0).single(tmp_path, silent)


def test_the_disk_is_waited_for_once_a_batch_of_trials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced, told, path = [], [], tmp_path / "c.jsonl"
    monkeypatch.setattr("hwnas.campaign.journal.os.fsync", lambda file: synced.append(path.stat().st_size))
    tried = campaign(program(SAMPLES["flat"]()), fault="ber", bers=(1e-3, 1e-1), half_width=8.0)
    rows = tried.curve(path, lambda stage: told.append(path.stat().st_size)).rows
    assert synced == told  # all of each batch
    assert len(synced) < len(rows) / 5


@pytest.mark.parametrize("processes", [2, pytest.param(5, marks=pytest.mark.slow)])
def test_of_equal_campaigns_that_begin_together_one_goes_on_and_nothing_is_lost(tmp_path: Path, processes: int) -> None:
    path = tmp_path / "c.jsonl"
    code = (
        "import sys; from pathlib import Path; from tests.campaign.test_campaign import campaign, silent\n"
        "from tests.injection.injection_samples import SAMPLES, program\n"
        "tried = campaign(program(SAMPLES['flat']()), half_width=1.0)\n"
        "print('ready', flush=True); sys.stdin.readline()\n"
        "tried.single(Path(sys.argv[1]), silent)"
    )
    begun = [
        subprocess.Popen([sys.executable, "-c", code, str(path)], stdin=PIPE, stdout=PIPE, stderr=PIPE, text=True)
        for _ in range(processes)
    ]
    for each in begun:
        assert each.stdout is not None
        assert each.stdout.readline() == "ready\n"
    for each in begun:
        assert each.stdin is not None
        each.stdin.write("\n")
        each.stdin.flush()
    said = [each.communicate(timeout=60)[1] for each in begun]
    assert 0 in [each.returncode for each in begun]
    assert all(each.returncode == 0 or "another process writes" in text for each, text in zip(begun, said, strict=True))
    campaign(program(SAMPLES["flat"]()), half_width=1.0).single(tmp_path / "whole.jsonl", silent)
    assert path.read_text() == (tmp_path / "whole.jsonl").read_text()
