"""Pictures for a paper: every main plot in two formats, alike whenever they are made, and never over what is not ours."""

import sys
from pathlib import Path

import pytest

from hwnas.api import open_run
from hwnas.errors import RequestError, WorkError
from hwnas.store import RunStore
from tests.conftest import Made

pytest.importorskip("matplotlib")
NAMES = {"error-parameters", "error-macs", "hypervolume"}


def test_every_main_plot_is_written_twice_and_alike_every_time(tiny_run: Made, tmp_path: Path) -> None:
    run = open_run(tiny_run.folder)
    paths = run.pictures(tmp_path / "new" / "pictures")
    assert {path.name for path in paths} == {f"{name}.{form}" for name in NAMES for form in ("png", "svg")}
    before = [path.read_bytes() for path in paths]
    assert [path.read_bytes() for path in run.pictures(tmp_path / "new" / "pictures")] == before
    svg = (tmp_path / "new" / "pictures" / "error-parameters.svg").read_text()
    for words in ("validation error", "parameters", "not on the front"):
        assert f">{words}</text>" in svg  # text that a paper's reader can find
    assert all(content.startswith((b"\x89PNG", b"<?xml")) for content in before)


def test_a_picture_that_is_not_ours_stays(tiny_run: Made, tmp_path: Path) -> None:
    run = open_run(tiny_run.folder)
    mine = tmp_path / "hypervolume.png"
    mine.write_bytes(b"\x89PNG of mine")
    with pytest.raises(RequestError, match=r"hypervolume.png: it exists and is not a picture of hwnas"):
        run.pictures(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["hypervolume.png"]  # none of the others was written
    run.pictures(tmp_path, replace=True)
    assert mine.stat().st_size > 1000


def test_without_matplotlib_it_says_what_to_install(tiny_run: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "hwnas.report.static", raising=False)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(RequestError, match=r"pip install 'hwnas\[plots\]'"):
        open_run(tiny_run.folder).pictures(tmp_path)


def test_a_run_without_networks_has_nothing_to_draw(tmp_path: Path) -> None:
    RunStore.create(tmp_path / "run", config='{"objectives": ["error", "parameters"], "workers": 1}', meta={}).close()
    with pytest.raises(WorkError, match=r"nothing to draw yet in .*run: nothing has finished yet"):
        open_run(tmp_path / "run").pictures(tmp_path / "pictures")
    assert not (tmp_path / "pictures").exists()
