"""Searches that stop children early: what is stopped, that it changes nothing else, and that a resumed run decides alike."""

import shutil
import sqlite3
from collections import Counter
from contextlib import closing

import pytest

from hwnas.errors import ConfigError
from hwnas.experiment import resume, start
from hwnas.objectives import objectives_named
from hwnas.search import promoted
from hwnas.store import RunStore
from tests.experiment.conftest import TINY, front, rows, tiny, told

RUNGS = {"enabled": True, "shares": (0.25, 0.5)}
SETTINGS = {"lemonade": {"proposals": 16, "accepted": 4}, "budget": {**TINY["budget"], "generations": 2}}
OBJECTIVES = objectives_named(TINY["objectives"])
FULL = 320.0


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rungs") / "run"
    return folder, start(tiny(rungs=RUNGS, **SETTINGS), folder)


def reached(folder):
    """(generation, rung) -> values by id, as they are stored."""
    found = {}
    with RunStore.open(folder, write=False) as store:
        for event in store.events("rung"):
            found.setdefault((event.generation, event.payload["rung"]), {})[event.payload["candidate"]] = event.payload["values"]
    return found


def truncated(folder, copy, sequence):
    """A copy of a run as a kill left it after so many writes."""
    shutil.copytree(folder, copy)
    with closing(sqlite3.connect(copy / "run.sqlite")) as connection, connection:
        for table in ("final_values", "outcomes", "events", "measurements", "candidates"):
            place = "candidate_id NOT IN (SELECT candidate_id FROM outcomes WHERE sequence <= ?)"
            connection.execute(f"DELETE FROM {table} WHERE {place if table == 'final_values' else 'sequence > ?'}", (sequence,))
        connection.execute("DELETE FROM parents WHERE child NOT IN (SELECT id FROM candidates)")
        connection.execute("UPDATE counter SET last = ?", (sequence,))
    return copy


def test_half_of_each_generation_goes_on_at_each_rung_and_the_others_are_stored_with_their_fidelity(run):
    folder, ended = run
    found = rows(folder)
    by_generation = Counter((row.generation, row.outcome.status, row.values["images"]) for row in found)
    assert {status for generation, status, _ in by_generation if generation == 0} == {"finished"}
    for generation in (1, 2):
        counts = {key[1:]: count for key, count in by_generation.items() if key[0] == generation}
        assert counts == {("stopped_early", 80.0): 2, ("stopped_early", 160.0): 1, ("finished", FULL): 1}
    assert ended.trained == len(found)
    stopped = {row.id for row in found if row.outcome.status == "stopped_early"}
    assert not stopped & set(front(folder))
    assert not stopped & {row.parent for row in found}
    assert all(row.outcome.weights is None and row.outcome.train_seconds > 0 for row in found if row.id in stopped)


def test_who_goes_on_is_what_halving_says_of_the_siblings(run):
    folder, _ = run
    outcomes = {row.id: row for row in rows(folder)}
    assert len(reached(folder)) == 4
    for (_, rung), values in reached(folder).items():
        chosen = promoted(values, OBJECTIVES, 0.5)
        stop = (80.0, 160.0)[rung]
        assert {each for each in values if outcomes[each].values["images"] > stop} == chosen
        for each in values.keys() - chosen:
            assert {name: outcomes[each].values[name] for name in values[each]} == values[each]


def test_a_child_that_finishes_is_the_one_trained_without_rungs(run, tmp_path):
    settings = {**SETTINGS, "budget": {**TINY["budget"], "generations": 1}}
    start(tiny(**settings), tmp_path / "whole")
    whole = {row.id: row for row in rows(tmp_path / "whole")}
    assert all(row.outcome.status == "finished" for row in whole.values())
    children = [row for row in rows(run[0]) if row.generation <= 1 and row.outcome.status == "finished"]
    assert {row.generation for row in children} == {0, 1}
    for row in children:
        assert (row.architecture_id, row.parent) == (whole[row.id].architecture_id, whole[row.id].parent)
        assert (row.outcome.weights, row.values) == (whole[row.id].outcome.weights, whole[row.id].values)


@pytest.mark.slow
def test_two_workers_stop_whom_one_stops(run, tmp_path):
    start(tiny(rungs=RUNGS, workers=2, **SETTINGS), tmp_path / "run")
    assert told(tmp_path / "run") == told(run[0])
    assert front(tmp_path / "run") == front(run[0])


def kills(folder):
    """Moments at which a kill leaves part of generation 1: before its last rung was reached, and between its outcomes."""
    with RunStore.open(folder, write=False) as store:
        events = [event.sequence for event in store.events("rung") if event.generation == 1]
        ends = sorted(row.finished for row in store.rows() if row.generation == 1)
    assert events[3] < ends[0] < ends[1] < events[4] < ends[2] < ends[3]
    return [events[1], ends[0], events[4], ends[2]]


@pytest.mark.parametrize("number", [0, *(pytest.param(late, marks=pytest.mark.slow) for late in (1, 2, 3))])
def test_a_run_killed_within_a_generation_goes_on_to_the_same_end(run, tmp_path, number):
    folder, _ = run
    copy = truncated(folder, tmp_path / "copy", kills(folder)[number])
    kept = sum(row.outcome is not None for row in rows(copy))
    assert resume(copy).reused == kept < len(rows(folder))
    assert told(copy) == told(folder)
    assert front(copy) == front(folder)


@pytest.mark.slow
def test_stopped_children_count_as_evaluations_and_go_on_with_a_larger_budget(run, tmp_path):
    initial = sum(row.generation == 0 for row in rows(run[0]))
    budget = {"images_per_child": 320, "max_evaluations": initial + 4}
    ended = start(tiny(rungs=RUNGS, lemonade=SETTINGS["lemonade"], budget=budget), tmp_path / "run")
    assert ended.reason == f"{initial + 4} evaluations are done"
    assert told(tmp_path / "run") == [row for row in told(run[0]) if not str(row[0]).startswith("g2-")]
    assert resume(tmp_path / "run").trained == 0


@pytest.mark.slow
def test_without_waiting_children_are_stopped_too_and_a_killed_run_goes_on(run, tmp_path):
    folder = tmp_path / "run"
    start(tiny(rungs=RUNGS, asynchronous=True, workers=2, **SETTINGS), folder)
    statuses = Counter(row.outcome.status for row in rows(folder))
    assert statuses["stopped_early"] > 0
    assert set(statuses) == {"finished", "stopped_early"}
    with RunStore.open(folder, write=False) as store:
        middle = [event.sequence for event in store.events("rung")][4]
    copy = truncated(folder, tmp_path / "copy", middle)
    resume(copy)
    assert {row.outcome.status for row in rows(copy)} <= {"finished", "stopped_early"}
    assert len(rows(copy)) == len(rows(folder))


@pytest.mark.slow
def test_tiny_budgets_have_fewer_rungs_and_none_where_a_step_is_all(tmp_path):
    start(tiny(rungs=RUNGS, lemonade=SETTINGS["lemonade"], budget={"generations": 1, "images_per_child": 16}), tmp_path / "run")
    assert {row.outcome.status for row in rows(tmp_path / "run")} == {"finished"}


@pytest.mark.parametrize(("wrong", "message"), [({"keep": 2}, r"rungs: .*keep=2"), ({"rate": 1}, r"unknown key rungs\.rate")])
def test_rungs_that_cannot_be_are_refused_before_anything_is_written(tmp_path, wrong, message):
    with pytest.raises(ConfigError, match=message):
        start(tiny(rungs=wrong), tmp_path / "run")
    assert not (tmp_path / "run").exists()
