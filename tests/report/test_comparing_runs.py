"""Runs on one page: what is shown of each, in which box they are compared, and what is refused."""

import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from hwnas.api import compare
from hwnas.candidate import Outcome
from hwnas.errors import RequestError
from hwnas.objectives import objectives_named
from hwnas.report.comparison import Compared, comparison
from hwnas.store import RunStore, content_hash
from tests.report.test_page import data_of, read
from tests.store.store_samples import initial, weights_of

OBJECTIVES = objectives_named(("error", "parameters", "latency_ms"))
CONFIG = {"objectives": ["error", "parameters", "latency_ms"], "strategy": {"name": "lemonade"}, "seed": 7, "workers": 1}
HERE = {"data_fingerprint": "1", "data_name": "digits", "device_fingerprint_sha256": "cpu"}
Points = Sequence[tuple[float, float, float]]


def made(folder: Path, points: Points, meta: Mapping[str, object] = HERE, config: Mapping[str, object] = CONFIG) -> Path:
    with RunStore.create(folder, config=json.dumps(config), meta=meta) as store:
        store.add_candidates([initial(slot) for slot in range(len(points))])
        for slot, (error, parameters, latency_ms) in enumerate(points):
            data = weights_of(slot)
            values = {"error": error, "parameters": parameters, "latency_ms": latency_ms}
            hashed = content_hash(data)
            store.add_outcome(Outcome(candidate_id=f"g0-{slot}", status="finished", values=values, weights=hashed), data)
    return folder


def page_of(*folders: Path) -> str:
    stores = [RunStore.open(folder, write=False) for folder in folders]
    try:
        return comparison(
            [
                Compared(label=folder.name, store=store, objectives=OBJECTIVES)
                for folder, store in zip(folders, stores, strict=True)
            ]
        )
    finally:
        for store in stores:
            store.close()


def volumes(text: str) -> list[float]:
    return [float(each) for each in re.findall(r"<bdi>(0\.\d{4})</bdi></td></tr>", text)]


def test_the_front_that_is_better_in_everything_has_the_larger_hypervolume_whatever_the_order(tmp_path: Path) -> None:
    better = made(tmp_path / "a", [(0.1 / each, 100.0 * each, 1.0) for each in range(1, 4)])
    worse = made(tmp_path / "b", [(0.2 / each, 200.0 * each, 2.0) for each in range(1, 4)])
    first, second = volumes(page_of(better, worse))
    assert first > second
    assert volumes(page_of(worse, better)) == [second, first]


def test_the_box_reaches_a_power_of_ten_beyond_all_fronts(tmp_path: Path) -> None:
    text = page_of(made(tmp_path / "a", [(0.5, 100.0, 1.0)]), made(tmp_path / "b", [(0.5, 1000.0, 1.0)]))
    # One network each: the box is 3 decades of parameters wide and 2 of latency; error from 0 to 1.
    assert volumes(text) == pytest.approx([0.5 * (2 / 3) * (1 / 2), 0.5 * (1 / 3) * (1 / 2)], abs=1e-4)


def test_every_front_is_there_and_each_run_is_named(tmp_path: Path) -> None:
    text = page_of(made(tmp_path / "<i>a", [(0.1, 100.0, 1.0), (0.2, 50.0, 1.0), (0.3, 70.0, 1.0)]), made(tmp_path / "b", []))
    reader = read(text)
    assert reader.loaded == []
    assert "<i>a" in reader.text
    assert "lemonade" in reader.text
    runs = data_of(text)["runs"]
    assert [run["label"] for run in runs] == ["<i>a", "b"]
    assert [sorted(run["networks"]["id"]) for run in runs] == [["g0-0", "g0-1"], []]


def test_latencies_of_several_devices_are_shown_and_never_mixed(tmp_path: Path) -> None:
    here = made(tmp_path / "a", [(0.5, 100.0, 1.0)])
    there = made(tmp_path / "b", [(0.5, 1000.0, 0.001)], HERE | {"device_fingerprint_sha256": "npu"})
    text = page_of(here, there)
    assert "measured on several devices" in read(text).text
    assert "Hypervolumes are of error, parameters, in one box" in read(text).text
    assert volumes(text) == pytest.approx([0.5 * 2 / 3, 0.5 / 3], abs=1e-4)
    assert math.isclose(data_of(text)["runs"][1]["networks"]["values"]["latency_ms"][0], 0.001)
    assert "several devices" not in read(page_of(here, made(tmp_path / "c", [(0.5, 1.0, 1.0)]))).text


def test_what_does_not_compare_is_refused_in_one_message(tmp_path: Path) -> None:
    one = made(tmp_path / "a", [(0.1, 100.0, 1.0)])
    other = made(tmp_path / "b", [(0.1, 100.0, 1.0)], HERE | {"data_fingerprint": "2", "data_name": "photos"})
    balanced = made(tmp_path / "c", [(0.1, 100.0, 1.0)], config=CONFIG | {"metric": "balanced_error"})
    out = tmp_path / "page.html"
    for runs, words in (
        ([one], "two runs or more, got 1"),
        ([one, one / ".." / "a"], "name each run once"),
        ([one, other], "b and a differ in their data (photos and digits): their errors do not compare"),
        ([one, balanced], "c and a differ in their metric (balanced error and error)"),
    ):
        with pytest.raises(RequestError, match=re.escape(words)):
            compare(runs, out)
    assert not out.exists()
    out.write_text("mine")
    twin = made(tmp_path / "sub" / "a", [(0.2, 100.0, 1.0)])
    with pytest.raises(RequestError, match="is not a comparison of hwnas"):
        compare([one, twin], out)
    assert compare([one, twin], out, replace=True) == out
    assert [run["label"] for run in data_of(out.read_text())["runs"]] == [str(one), str(twin)]  # alike: paths tell them apart
    assert compare([one, twin], out) == out
