"""The figures of campaigns in a run's folder: whole, added to, replaced, and refused where they are damaged."""

import json
import shutil
from pathlib import Path

import pytest

from hwnas.api import open_run
from hwnas.errors import StoreError
from hwnas.store.campaigns import CampaignFigures, read_figures, write_figures
from tests.conftest import Made


def test_a_second_campaign_adds_its_figures_and_the_same_one_replaces_its_own(tiny_run: Made, tmp_path: Path) -> None:
    run = open_run(shutil.copytree(tiny_run.folder, tmp_path / "copy"))
    one, two = (entry.id for entry in run.front()[:2])
    settings = {"bers": "1e-4,1e-2", "half_width": 20.0}
    found = run.faults(models=one, **settings).networks[0]
    stored = {figures.name: figures for figures in read_figures(run.folder)}
    assert set(stored) == {f"{one}-float32-weights-{fault}-seed0" for fault in ("single", "ber")}
    single, curve = stored[f"{one}-float32-weights-single-seed0"].single, stored[f"{one}-float32-weights-ber-seed0"].curve
    assert found.single is not None
    assert found.curve is not None
    assert single is not None
    assert curve is not None
    assert (single.drop.value, single.drop.low) == (found.single.drop.value, found.single.drop.low)
    expected = {each.layer: each.share for each in found.expected}
    assert {each.layer: each.expected for each in single.layers} == expected
    assert sum(each.changed.value for each in single.layers if each.changed is not None) == pytest.approx(1)
    assert curve.bers == (1e-4, 1e-2)
    assert [each.value for each in curve.accuracies] == [each.value for each in found.curve.summary.accuracies]
    assert all(0 <= each.low <= each.high <= 1 for each in curve.accuracies)
    run.faults(models=two, faults=["single"], **settings)
    run.faults(models=two, faults=["single"], **settings)
    assert [figures.name for figures in read_figures(run.folder)] == sorted([*stored, f"{two}-float32-weights-single-seed0"])


@pytest.mark.parametrize("content", ["", "{", "[]", '{"model": "g0-0"}', "\xff"])
def test_damaged_figures_are_named(content: str, tmp_path: Path) -> None:
    figures = CampaignFigures(model="g0-0", dtype="float32", target="weights", fault="ber", seed=0, clean_error=0.5)
    write_figures(tmp_path, figures)
    assert read_figures(tmp_path) == [figures]
    path = tmp_path / "fault_figures" / f"{figures.name}.json"
    assert json.loads(path.read_text())["clean_error"] == 0.5
    path.write_bytes(content.encode("latin-1"))
    with pytest.raises(StoreError, match="is damaged"):
        read_figures(tmp_path)
    assert [each.name for each in path.parent.iterdir()] == [path.name]  # no half-written file beside it
