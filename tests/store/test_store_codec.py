import dataclasses
import json
import sqlite3
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from store_samples import child, finished, initial, weights_of

from hwnas.candidate import Candidate, Failure, Outcome
from hwnas.errors import StoreError
from hwnas.store import RunStore
from hwnas.store.codec import outcome_from_json, outcome_to_json, steps_from_json, steps_to_json
from tests.graphs import SAMPLES

VALUES = st.dictionaries(st.text(max_size=8), st.floats(allow_nan=False, allow_infinity=False), max_size=4)


@st.composite
def outcomes(draw: st.DrawFn) -> Outcome:
    status = draw(st.sampled_from(("finished", "failed", "infeasible", "unfinished", "stopped_early")))
    done = status == "finished"
    needed = {"finished": ("error",), "stopped_early": ("error", "images")}.get(status, ())
    return Outcome(
        candidate_id="g1-2",
        status=status,
        values=draw(VALUES) | {name: draw(st.floats(0, 1)) for name in needed},
        weights="ab" * 32 if done else None,
        failure=Failure(kind="worker_died", message=draw(st.text(st.characters(codec="utf-8")))) if status == "failed" else None,
        train_seconds=draw(st.floats(0, 1e9)),
    )


@given(outcomes())
def test_an_outcome_comes_back_bit_for_bit(outcome: Outcome) -> None:
    assert outcome_from_json(outcome_to_json(outcome), "g1-2") == outcome


@pytest.mark.parametrize(
    "change",
    [{"weights": "ab" * 32}, {"values": {"error": 0.5}}, {"values": {"images": 400.0}}, {"values": {"error": 2, "images": 1}}],
)
def test_one_stopped_early_has_an_error_its_fidelity_and_no_weights(change: dict[str, object]) -> None:
    stopped = Outcome(candidate_id="g1-0", status="stopped_early", values={"error": 0.5, "images": 400.0})
    with pytest.raises(StoreError, match="stopped early"):
        dataclasses.replace(stopped, **change)


@pytest.mark.parametrize("name", SAMPLES)
def test_steps_come_back_equal(name: str) -> None:
    for candidate in (initial(0, name), child(initial(0, name), 1, 0, steps=3)):
        assert steps_from_json(steps_to_json(candidate.steps), candidate.id) == candidate.steps


def test_every_field_of_a_candidate_is_stored() -> None:
    # A new field needs a column (or a place in the steps), or a resumed run would lose it.
    stored = {"generation", "slot", "parents", "steps", "cheap", "training", "genotype"}
    assert {field.name for field in dataclasses.fields(Candidate)} == stored


@pytest.mark.parametrize("change", [{"train_seconds": float("nan")}, {"train_seconds": "long"}, {"status": "brilliant"}])
def test_what_could_not_be_read_back_is_not_stored(change: dict[str, object]) -> None:
    outcome = dataclasses.replace(finished("g0-0", b""), **change)
    with pytest.raises(StoreError, match="g0-0"):
        outcome_to_json(outcome)


def test_numbers_of_numpy_are_stored_as_what_they_are(tmp_path: Path) -> None:
    cheap = {"macs": np.int64(7), "latency_ms": np.float32(0.1), "parameters": 3}
    with RunStore.create(tmp_path / "run", config="{}", meta={}) as store:
        store.add_candidates([dataclasses.replace(initial(0), cheap=cheap)])
        assert store.candidate("g0-0").cheap == cheap
        with pytest.raises(StoreError, match="cheap values of g0-1"):
            store.add_candidates([dataclasses.replace(initial(1), cheap={"macs": float("nan")})])


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("UPDATE candidates SET steps = replace(steps, '\"out_channels\":8', '\"out_channels\":9')", "expected architecture"),
        ("UPDATE candidates SET steps = substr(steps, 1, 900)", "steps of g0-0 are damaged"),
        ("UPDATE candidates SET steps = replace(steps, 'initial', 'x') || ']'", "steps of g0-0 are damaged"),
        ("UPDATE candidates SET steps = '[]'", "at least one step"),
        ("UPDATE candidates SET steps = replace(steps, '\"kind\"', '\"sort\"')", "steps of g0-0 are damaged"),
        ("UPDATE candidates SET slot = 5", "got .* of g0-5"),
        ("UPDATE candidates SET training = '{\"batch_size\":[1]}'", "training settings of g0-0 is damaged"),
        ('UPDATE candidates SET cheap = \'{"parameters":"many"}\'', "cheap values of g0-0 are damaged"),
        ("UPDATE outcomes SET record = replace(record, '0.30', '7.30')", "outcome of g0-0 is damaged"),
        ("UPDATE outcomes SET record = replace(record, 'g0-0', 'g0-1')", "it is that of g0-1"),
        ("UPDATE outcomes SET record = '{}'", "outcome of g0-0 is damaged"),
    ],
)
def test_damage_in_a_row_is_found_on_reading(tmp_path: Path, statement: str, message: str) -> None:
    with RunStore.create(tmp_path / "run", config="{}", meta={}) as store:
        store.add_candidates([initial(0)])
        store.add_outcome(finished("g0-0", weights_of(0)), weights_of(0))
    connection = sqlite3.connect(tmp_path / "run" / "run.sqlite")
    with connection:
        assert connection.execute(statement).rowcount == 1
    connection.close()
    with RunStore.open(tmp_path / "run", write=False) as store, pytest.raises(StoreError, match=message):
        assert [(row.candidate, row.outcome) for row in store.rows()]


def test_steps_are_json_that_other_tools_can_read() -> None:
    (first, second) = json.loads(steps_to_json(child(initial(0), 1, 0).steps))
    assert first["operator"] == second["operator"] == "insert_convolution"
    assert {entry["kind"] for entry in first["inheritance"]["records"]} <= {"identity", "calibrated"}
