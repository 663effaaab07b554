"""What a run reads back of itself is checked: damage is told with its place, whatever the damage is."""

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from hwnas.api import open_run
from hwnas.device import load_profile, open_device
from hwnas.device.reference import conv_chain
from hwnas.errors import StoreError
from hwnas.experiment import Ended, resume, start
from hwnas.experiment.latency import MeasuredLatencies
from hwnas.models.exporting import export_models
from hwnas.report import predictor_error
from hwnas.store import RunStore
from tests.experiment.conftest import tiny

SHAPELESS = ("", "null", "[[]]", '"x"', "{}")


def damaged(whole: Path, folder: Path, statement: str, text: str) -> Path:
    shutil.copytree(whole, folder)
    with closing(sqlite3.connect(folder / "run.sqlite")) as connection, connection:
        assert connection.execute(statement, [text]).rowcount == 1
    return folder


@pytest.mark.parametrize("text", SHAPELESS[:-1])
@pytest.mark.parametrize("name", ["budget", "definitions", "images_per_child", "initial", "profile", "trainer", "used_s"])
def test_a_damaged_fact_of_a_run_is_named(first_run: tuple[Path, Ended], tmp_path: Path, name: str, text: str) -> None:
    folder = damaged(first_run[0], tmp_path / "run", f"UPDATE meta SET value = ? WHERE name = '{name}'", text)
    with pytest.raises(StoreError, match=f"meta {name} is damaged"):
        resume(folder)


@pytest.mark.parametrize("text", SHAPELESS)
def test_a_damaged_event_is_named(first_run: tuple[Path, Ended], tmp_path: Path, text: str) -> None:
    folder = damaged(first_run[0], tmp_path / "run", "UPDATE events SET payload = ? WHERE kind = 'ended'", text)
    with pytest.raises(StoreError, match=r"event \d+ is damaged"):
        open_run(folder).ended()


@pytest.mark.parametrize("name", ["data_fingerprint", "data_name", "test_sha256"])
def test_a_fact_of_the_data_that_is_no_text_is_named(first_run: tuple[Path, Ended], tmp_path: Path, name: str) -> None:
    folder = damaged(first_run[0], tmp_path / "run", f"UPDATE meta SET value = ? WHERE name = '{name}'", "5")
    with RunStore.open(folder, write=False) as store, pytest.raises(StoreError, match=f"meta {name} is damaged: .*string"):
        export_models(store, [next(store.rows())], tmp_path / "bundle", precisions=["float32"])


def test_a_damaged_summary_is_named(first_run: tuple[Path, Ended], tmp_path: Path) -> None:
    broken = "UPDATE events SET payload = ? WHERE kind = 'generation' AND generation = 1"
    folder = damaged(first_run[0], tmp_path / "run", broken, '{"hypervolume":[],"used_s":1}')
    with pytest.raises(StoreError, match=r"event \d+ is damaged: hypervolume: Input should be a valid number"):
        open_run(folder).report()


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ('{"of":"generation","predicted_ms":5,"measured_ms":[1.0]}', "predicted_ms: Input should be a valid tuple"),
        ('{"of":"generation","predicted_ms":[null],"measured_ms":[1.0]}', "predicted_ms: 0: Input should be a valid number"),
        ('{"of":"generation","predicted_ms":[1.0]}', "measured_ms: Field required"),
    ],
)
def test_what_was_predicted_is_checked_as_it_is_read(tmp_path: Path, text: str, what: str) -> None:
    profile = load_profile("local-cpu")
    with open_device(profile) as device, RunStore.create(tmp_path / "run", config="{}", meta={}) as store:
        store.add_event("predictor", json.loads(text), generation=0)
        with pytest.raises(StoreError, match=rf"event \d+ is damaged: {what}"):
            MeasuredLatencies(store, device, profile)


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        (None, "ci_ms: Field required"),
        ({"samples": "many"}, "samples: Input should be a valid integer"),
        ({"raw_ms": 0}, "expected a positive raw_ms"),
    ],
)
def test_what_was_measured_is_checked_as_it_is_read(tmp_path: Path, changes: dict[str, object] | None, what: str) -> None:
    profile = load_profile("local-cpu")
    with open_device(profile) as device, RunStore.create(tmp_path / "run", config="{}", meta={}) as store:
        one = device.measure(conv_chain(channels=2, size=4, layers=1), half_width=0.5, time_limit_s=0.05).to_json()
        kept = {"latency_ms": 1.0} if changes is None else one | changes
        store.add_measurement("a", "search", kept, fingerprint_sha256="f", profile_sha256="p")
        with pytest.raises(StoreError, match=rf"measurement \d+ is damaged: {what}"):
            MeasuredLatencies(store, device, profile)


def test_the_predictors_errors_are_checked_as_they_are_read(tmp_path: Path) -> None:
    with RunStore.create(tmp_path / "run", config="{}", meta={"device_fingerprint_sha256": "f"}) as store:
        so_far = {"networks": 3, "median_error": "large", "spearman": None}
        store.add_event("predictor", {"fingerprint_sha256": "f", "so_far": so_far}, generation=0)
        with pytest.raises(StoreError, match=r"event \d+ is damaged: so_far: median_error: Input should be a valid number"):
            predictor_error(store)


@pytest.mark.parametrize(("kind", "config"), [("ask", {"asynchronous": True}), ("rung", {"rungs": {"enabled": True}})])
def test_what_a_resumed_search_goes_by_is_checked(tmp_path: Path, kind: str, config: dict[str, object]) -> None:
    start(tiny(**config), tmp_path / "whole")
    first = f"UPDATE events SET payload = ? WHERE sequence = (SELECT min(sequence) FROM events WHERE kind = '{kind}')"
    folder = damaged(tmp_path / "whole", tmp_path / "run", first, '{"told":[],"device":7}')
    with pytest.raises(StoreError, match=r"event \d+ is damaged: (told|candidate): "):
        resume(folder, changes={"generations": 2})
