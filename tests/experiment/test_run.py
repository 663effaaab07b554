"""Real runs: repeatable, resumable, within their budgets, and refused where the request is wrong."""

import os
import shutil
import signal
import sqlite3
import threading
from contextlib import closing

import numpy as np
import pytest
import torch
from PIL import Image

from hwnas.api import open_run
from hwnas.data import DataSettings, load
from hwnas.errors import ConfigError, RequestError, RunFolderError
from hwnas.execution import InlineExecutor
from hwnas.experiment import resume, start
from hwnas.experiment.context import assemble
from hwnas.experiment.tasks import images_per_second
from hwnas.models.loading import stored_config
from hwnas.objectives import objectives_named
from hwnas.pareto import Resolution
from hwnas.pareto import front as pareto_front
from hwnas.spaces import initial_graphs
from hwnas.store import RunStore
from tests.execution.conftest import local_workers
from tests.experiment.conftest import TINY, front, rows, tiny, told

INITIAL = len(initial_graphs((1, 8, 8), 10))


@pytest.fixture
def copied(first_run, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(first_run[0], folder)
    return folder


def test_every_network_is_stored_with_its_lineage_values_and_weights(first_run):
    folder, ended = first_run
    found = rows(folder)
    assert ended.trained == len(found) == INITIAL + 2
    assert "1 generation is done" in ended.reason
    with RunStore.open(folder, write=False) as store:
        for row in found:
            assert row.outcome.status == "finished"
            assert row.candidate.graph.classes == 10
            assert store.weights(row.outcome.weights)
            assert {"error", "parameters", "macs", "sensitivity", "loss"} <= set(row.values)
            assert (row.parent is None) == (row.generation == 0)


def test_the_front_is_that_of_all_finished_and_alone_was_tested(first_run):
    folder, _ = first_run
    found = rows(folder)
    objectives = objectives_named(TINY["objectives"])
    expected = pareto_front(
        [row.id for row in found],
        np.array([[row.values[objective.name] for objective in objectives] for row in found]),
        [(row.values["error"], row.values["parameters"]) for row in found],
        [Resolution(size=objective.resolution, relative=objective.relative) for objective in objectives],
    )
    assert tuple(front(folder)) == expected
    assert {row.id for row in found if "test_error" in row.final} == set(expected)


def test_networks_no_better_than_guessing_are_of_no_use_unless_the_user_says_so(first_run, tmp_path):
    start(tiny(max_error=None), tmp_path / "useful")
    useful, everything = open_run(tmp_path / "useful"), open_run(first_run[0])
    (error,) = (each for each in useful.objectives if each.name == "error")
    labels = load(DataSettings()).validation.labels
    guessing = 1 - np.bincount(labels).max() / len(labels)
    assert error.upper_bound == pytest.approx(guessing)
    assert not error.allows(guessing)
    initial = [entry for entry in everything.front() if not entry.row.parent]  # the children depend on who is on the front
    assert max(entry.value("error") for entry in initial) >= guessing  # a condition of this test
    assert useful.front()
    assert max(entry.value("error") for entry in useful.front()) < guessing
    before = [entry.id for entry in useful.front()]
    assert resume(tmp_path / "useful").trained == 0
    assert [entry.id for entry in useful.front()] == before == sorted(front(tmp_path / "useful"), key=before.index)


@pytest.mark.parametrize(("common", "most"), [(60, 0.4), (90, 1.0)])
def test_where_one_class_is_very_common_no_network_is_of_no_use_by_default(tmp_path, common, most):
    rng = np.random.default_rng(0)
    for split in ("train", "validation", "test"):
        for number in range(100):
            path = tmp_path / "data" / split / ("a" if number < common else "b") / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(rng.integers(0, 256, (8, 8), dtype=np.uint8)).save(path)
    with closing(assemble(tiny(data={"source": str(tmp_path / "data")}, max_error=None))) as context:
        assert context.config.max_error == pytest.approx(most)


def test_to_a_run_of_an_older_version_every_network_stays_of_use(tmp_path):
    config = tiny(max_error=None)
    with RunStore.create(tmp_path / "old", config=config.model_dump_json(), meta={"budget": config.budget.model_dump()}) as store:
        assert stored_config(store).max_error == 1.0


def test_two_workers_give_the_run_of_this_process_bit_for_bit(first_run, tmp_path):
    start(tiny(workers=2), tmp_path / "second")
    assert told(tmp_path / "second") == told(first_run[0])
    assert front(tmp_path / "second") == front(first_run[0])


def test_a_finished_run_resumed_does_nothing_and_starts_no_worker(copied):
    with closing(sqlite3.connect(copied / "run.sqlite")) as connection, connection:
        connection.execute("UPDATE meta SET value = json_set(value, '$.workers', 1) WHERE name = 'config'")
    before = (told(copied), front(copied))
    workers, others = [], set(local_workers())
    ended = resume(copied, listener=lambda progress: workers.append(len(set(local_workers()) - others)))
    assert (ended.trained, ended.reused) == (0, INITIAL + 2)
    assert set(workers) <= {0}
    assert (told(copied), front(copied)) == before
    with RunStore.open(copied, write=False) as store:
        assert len(list(store.events("generation"))) == 2


def test_a_larger_budget_continues_a_finished_run_and_max_evaluations_is_exact(copied):
    ended = resume(copied, changes={"generations": None, "max_evaluations": INITIAL + 3})
    assert ended.trained == 1
    assert [row.outcome.status for row in rows(copied)[-2:]] == ["finished", "unfinished"]
    ended = resume(copied, changes={"max_evaluations": INITIAL + 4})
    assert (ended.trained, ended.reused) == (1, INITIAL + 3)
    assert rows(copied)[-1].outcome.status == "finished"


@pytest.mark.slow
def test_a_run_that_keeps_its_front_alone_is_the_run_that_keeps_all(copied, tmp_path):
    lean = tmp_path / "lean"
    start(tiny(keep="front"), lean)
    for generations in (1, 2):
        resume(copied, changes={"generations": generations})
        resume(lean, changes={"generations": generations})
        assert told(lean) == told(copied)
        assert front(lean) == front(copied)
        names = {row.outcome.weights for row in rows(lean) if row.id in front(lean)}
        assert {path.stem for path in (lean / "weights").iterdir()} == names
    assert len(names) < len(list((copied / "weights").iterdir())) == len(rows(copied))


@pytest.mark.slow
def test_a_steady_state_run_that_keeps_its_front_alone_goes_on(tmp_path):
    start(tiny(keep="front", asynchronous=True, workers=2), tmp_path / "run")
    resume(tmp_path / "run", changes={"generations": 3})
    found = {row.id: row.outcome for row in rows(tmp_path / "run")}
    assert {outcome.status for outcome in found.values()} == {"finished"}
    names = {found[member].weights for member in front(tmp_path / "run")}
    assert {path.stem for path in (tmp_path / "run" / "weights").iterdir()} == names


def test_ctrl_c_keeps_what_is_trained_and_the_time_used(tmp_path, first_run):
    def interrupt(progress):
        if progress.phase == "training" and progress.trained == 3:
            os.kill(os.getpid(), signal.SIGINT)

    assert threading.current_thread() is threading.main_thread()
    with pytest.raises(KeyboardInterrupt):
        start(tiny(), tmp_path / "run", listener=interrupt)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    with RunStore.open(tmp_path / "run", write=False) as store:
        assert store.meta("used_s") > 0
    kept = sum(row.outcome is not None for row in rows(tmp_path / "run"))
    assert 3 <= kept < INITIAL
    ended = resume(tmp_path / "run")
    assert ended.reused == kept
    assert told(tmp_path / "run") == told(first_run[0])


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"executor": "ray"}, "executor ray"),
        ({"budget": {**TINY["budget"], "child_time": 5, "child_memory_mb": 100}}, r"budget\.child_time, budget\.child_memory_mb"),
    ],
)
def test_what_needs_a_process_of_its_own_is_refused_without_workers_before_anything_is_written(tmp_path, changes, named):
    with pytest.raises(ConfigError, match=f"workers 0 .* {named}; "):
        start(tiny(**changes), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_limit_that_needs_a_worker_is_refused_on_resume_and_changes_nothing(copied):
    with pytest.raises(ConfigError, match=r"budget\.child_time"):
        resume(copied, changes={"generations": 2, "child_time": 5.0})
    with RunStore.open(copied, write=False) as store:
        assert store.meta("budget")["generations"] == 1


def test_without_workers_the_speed_of_training_is_timed_and_a_time_budget_ends_the_run(tmp_path):
    with closing(assemble(tiny())) as context, InlineExecutor() as executor:
        assert images_per_second(context, executor) > 0
    ended = start(tiny(budget={"time": 2.0, "images_per_child": 320}), tmp_path / "run")
    assert ended.reason == "the time budget is used up"
    assert ended.trained > 0


def test_limits_that_nothing_meets_are_refused_before_anything_is_written(tmp_path):
    with pytest.raises(ConfigError, match=r"parameters \d+ \(limit 5\)"):
        start(tiny(limits={"parameters": 5.0}), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_callers_own_work_keeps_its_threads(copied):
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    seen = set()
    resume(copied, listener=lambda progress: seen.add(torch.get_num_threads()))
    kept = torch.get_num_threads()
    torch.set_num_threads(before)
    assert (seen, kept) == ({1}, 2)


@pytest.mark.parametrize(
    ("expected", "message"),
    [
        ({"seed": 1}, "seed 0, not 1"),
        ({"objectives": ("error", "parameters")}, "objectives error,parameters,macs,sensitivity, not error,parameters"),
        ({"data": "elsewhere"}, "data digits, not elsewhere"),
    ],
)
def test_a_run_goes_on_as_it_began_or_not_at_all(copied, expected, message):
    def files():
        return {path for path in copied.rglob("*") if not path.name.endswith(("-wal", "-shm"))}  # readers make those

    before = files()
    with pytest.raises(RequestError, match=message):
        resume(copied, expected=expected, changes={"generations": 9})
    with RunStore.open(copied, write=False) as store:
        assert store.meta("budget")["generations"] == 1
    assert files() == before


def test_a_training_device_that_is_not_there_is_refused_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match=r"trainer\.device is cuda, but torch finds only"):
        start(tiny(trainer={"device": "cuda"}), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("said", ["auto", "cpu"])
def test_the_training_device_is_kept_as_it_was_said(said):
    with closing(assemble(tiny(trainer={"device": said}))) as context:
        assert context.trainer.device == said


def test_other_data_are_refused_with_both_fingerprints(copied):
    with RunStore.open(copied, write=True) as store:
        now = store.meta("data_fingerprint")
        store.set_meta("data_fingerprint", "another")
    with pytest.raises(RequestError, match=f"fingerprint another, now it is {now}"):
        resume(copied)


def test_a_folder_that_holds_a_run_is_not_written_again(first_run):
    before = told(first_run[0])
    with pytest.raises(RunFolderError, match="already holds a run"):
        start(tiny(), first_run[0])
    assert told(first_run[0]) == before


@pytest.mark.parametrize("generations", [None, 2])  # cut within the last one, too
def test_a_generation_that_the_budget_cut_counts_after_a_resume_too(copied, generations):
    ended = resume(copied, changes={"generations": generations, "max_evaluations": INITIAL + 3})
    assert ended.reason == f"{INITIAL + 3} evaluations are done"
    cut = front(copied)
    assert resume(copied).trained == 0
    assert front(copied) == cut
    with RunStore.open(copied, write=False) as store:
        *_, cut_short, nothing_new = (event.payload for event in store.events("ended"))
    assert nothing_new == cut_short


@pytest.mark.slow
def test_a_ray_cluster_gives_the_same_run(first_run, tmp_path):
    start(tiny(executor="ray", ray_address="local", workers=1), tmp_path / "run")
    assert told(tmp_path / "run") == told(first_run[0])


def test_limits_are_kept_and_a_search_shrinks_towards_them(tmp_path, first_run):
    smallest = min(row.values["parameters"] for row in rows(first_run[0]))
    start(tiny(limits={"parameters": smallest - 1}), tmp_path / "run")
    found = rows(tmp_path / "run")
    assert found
    assert all(row.values["parameters"] < smallest for row in found)


def test_a_resume_goes_on_with_the_profile_and_trainer_it_was_started_with(copied):
    with RunStore.open(copied, write=True) as store:
        store.set_meta("trainer", {**store.meta("trainer"), "learning_rate": 0.01})
        store.set_meta("profile", {**store.meta("profile"), "limits": {"max_parameters": 500}})
    resume(copied, changes={"generations": 2})
    with RunStore.open(copied, write=False) as store:
        new = [row for row in store.rows() if row.generation == 2]
    assert new
    assert all(row.cheap["parameters"] <= 500 for row in new)


def test_an_ended_run_says_why_and_an_interrupted_one_says_nothing(copied):
    assert open_run(copied).ended() == "1 generation is done"
    with RunStore.open(copied, write=True) as store:
        store.add_event("started", {})
    assert open_run(copied).ended() is None
