"""A search that is steered by expected changes which it predicts, and a limit on them."""

import dataclasses
from pathlib import Path

import pytest

from hwnas.api import open_run
from hwnas.candidate import Candidate, Outcome
from hwnas.errors import ConfigError
from hwnas.experiment import resume, start
from hwnas.experiment.predicted_change import PredictedChange
from hwnas.store import RunStore
from tests.experiment.conftest import RESILIENT, front, rows, tiny, told
from tests.store.store_samples import child, finished, initial, weights_of


def predictions(folder: Path) -> list[float | None]:
    return [row.candidate.cheap.get("expected_change") for row in rows(folder) if row.parent is not None]


def test_children_are_predicted_and_how_well_is_kept_and_shown(steered: Path, tmp_path: Path) -> None:
    assert all(known is not None and known > 0 for known in predictions(steered))
    with RunStore.open(steered, write=False) as store:
        (event,) = store.events("change_predictor")
    children = [row for row in rows(steered) if row.parent is not None]
    assert event.payload["predicted"] == predictions(steered)
    assert event.payload["computed"] == [row.values["expected_change"] for row in children]
    page = open_run(steered).report(tmp_path / "page.html").read_text(encoding="utf-8")
    assert "expected change predictor" in page


def test_unless_it_is_asked_for_nothing_is_predicted(tmp_path: Path) -> None:
    start(tiny(objectives=RESILIENT), tmp_path / "run")
    assert set(predictions(tmp_path / "run")) == {None}
    with RunStore.open(tmp_path / "run", write=False) as store:
        assert not list(store.events("change_predictor"))


def test_a_run_that_goes_on_predicts_as_one_that_was_never_interrupted(steered: Path, tmp_path: Path) -> None:
    start(tiny(objectives=RESILIENT, steering=True, budget={"generations": 0, "images_per_child": 320}), tmp_path / "run")
    resume(tmp_path / "run", changes={"generations": 1})
    assert told(tmp_path / "run") == told(steered)
    assert predictions(tmp_path / "run") == predictions(steered)


def test_what_was_only_predicted_is_not_given_as_a_value(steered: Path) -> None:
    entry = next(each for each in open_run(steered).rows() if each.row.parent is not None)
    bare = dataclasses.replace(entry, row=dataclasses.replace(entry.row, outcome=None, final={}))
    assert "expected_change" in bare.row.cheap
    assert bare.value("expected_change") is None


def test_a_limit_keeps_what_is_above_it_off_the_front_while_something_is_within(steered: Path, tmp_path: Path) -> None:
    values = sorted(row.values["expected_change"] for row in rows(steered) if "expected_change" in row.values)
    limit = values[len(values) // 2]
    start(tiny(objectives=RESILIENT, limits={"expected_change": limit}), tmp_path / "run")
    known = {row.id: row.values for row in rows(tmp_path / "run")}
    assert all(known[member]["expected_change"] <= limit for member in front(tmp_path / "run"))
    assert any(each.get("expected_change", 0.0) > limit for each in known.values())
    assert all((predicted or 0.0) <= limit for predicted in predictions(tmp_path / "run"))
    assert {entry.id for entry in open_run(tmp_path / "run").front()} == set(front(tmp_path / "run"))


def test_a_limit_needs_the_objective(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="a limit on expected_change needs it among the objectives"):
        start(tiny(limits={"expected_change": 5.0}), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_only_a_refit_changes_what_is_predicted_and_a_report_is_made_once(tmp_path: Path) -> None:
    parent = initial(0)
    candidates = [parent, *(dataclasses.replace(child(parent, 1, slot), cheap={"expected_change": 2.0}) for slot in range(3))]

    def outcome(candidate: Candidate) -> Outcome:
        told = finished(candidate.id, weights_of(1))
        return dataclasses.replace(told, values={**told.values, "expected_change": 1.0 + candidate.slot})

    with RunStore.create(tmp_path / "run", config="{}", meta={}) as store:
        changes = PredictedChange(store)
        assert changes.predict(parent.graph) is None
        changes.learn(candidates[0], outcome(candidates[0]))
        assert changes.predict(parent.graph) is None
        changes.refit()
        before = changes.predict(parent.graph)
        for each in candidates[1:]:
            changes.learn(each, outcome(each))
        assert changes.predict(parent.graph) == before == 1.0
        for again in (changes, PredictedChange(store)):
            again.report(1)
            (event,) = store.events("change_predictor")
            assert event.payload["so_far"]["networks"] == 3
        changes.learn(candidates[1], Outcome(candidate_id=candidates[1].id, status="unfinished"))
        changes.report(2)
        assert len(list(store.events("change_predictor"))) == 1
