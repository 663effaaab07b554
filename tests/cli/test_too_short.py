"""A search whose time is too short for a child says so, and what to do."""

from pathlib import Path

from typer.testing import CliRunner

from hwnas.api import open_run
from hwnas.cli import app
from hwnas.report import more_time
from hwnas.store import RunStore
from tests.conftest import TINY


def test_a_search_without_a_child_says_that_its_time_was_too_short(tmp_path: Path) -> None:
    options = ["--workers", "0", "--objectives", "error,parameters", "--out", str(tmp_path / "run")]
    result = CliRunner().invoke(app, ["search", "--time-budget", "1s", *options])
    assert result.exit_code == 0
    assert open_run(tmp_path / "run").front()
    assert "The time was too short for a search" in result.output
    assert f"hwnas resume {tmp_path / 'run'} --time-budget 10m" in result.output.replace("\n", "")


def test_a_search_that_was_to_have_no_children_is_not_too_short(tmp_path: Path) -> None:
    (tmp_path / "tiny.toml").write_text(TINY)
    options = ["--config", str(tmp_path / "tiny.toml"), "--workers", "0", "--out", str(tmp_path / "run")]
    result = CliRunner().invoke(app, ["search", "--generations", "0", *options])
    assert result.exit_code == 0
    assert "too short" not in result.output


def test_more_time_is_more_than_the_run_had(tmp_path: Path) -> None:
    with RunStore.create(tmp_path / "run", config="{}", meta={"budget": {"time": 3600.0}}) as store:
        assert more_time(store) == "240m"
        store.set_meta("budget", {"time": None, "generations": 2})
        assert more_time(store) == "10m"
