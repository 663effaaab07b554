"""Networks of a run trained to the end: new candidates on its front, resumable bit for bit, unseen by the search."""

import shutil
from pathlib import Path

import pytest

from hwnas.api import open_run
from hwnas.errors import ConfigError, DataError, RequestError, RunFolderError
from hwnas.experiment import Wanted, final_training, resume, start, train
from hwnas.experiment.planning import plans
from hwnas.experiment.teachers import refuse_other_teacher
from hwnas.spaces import initial_graphs
from hwnas.store import RunStore
from tests.experiment.conftest import TINY, InThisProcess, front, rows, tiny, told

pytestmark = pytest.mark.usefixtures("in_this_process")


@pytest.fixture
def run(first_run, tmp_path) -> Path:
    shutil.copytree(first_run[0], tmp_path / "run")
    return tmp_path / "run"


class Stopped(Exception):
    """What stands for a kill: nothing handles it."""


def stopping_after(reports: int):
    """A listener that ends the session after so many parts of a training."""
    seen = []

    def listen(progress):
        seen.append(progress.phase)
        if seen.count("final") == reports:
            raise Stopped

    return listen


def final_rows(folder: Path) -> list[tuple[object, ...]]:
    return [row for row in told(folder) if str(row[0]).startswith("t")]


def test_what_is_trained_is_a_candidate_of_its_own_that_the_search_never_sees(run, tmp_path):
    best, others = front(run)[0], told(run)
    did = train(run, Wanted(models=(best,), epochs=8))
    assert (did.candidates, did.trained) == (("t0-0",), 1)
    assert [row for row in told(run) if row[0] != "t0-0"] == others
    made = {entry.id: entry for entry in open_run(run).rows()}
    child, parent = made["t0-0"], made[best]
    assert (child.row.parent, child.row.operator, child.row.exact, child.is_trained) == (best, "train", True, True)
    assert child.row.architecture_id == parent.row.architecture_id
    assert child.value("macs") == parent.value("macs")
    assert child.value("error") < parent.value("error")
    assert (child.on_front, parent.on_front) == (True, False)
    assert child.value("test_error") is not None
    assert (child.curve()[-1]["images"], child.curve()[-1]["error"]) == (child.value("images"), child.value("error"))
    assert parent.curve()[-1]["error"] == parent.value("error")
    assert not (run / "checkpoints").exists()
    again = train(run, Wanted(models=(best,), epochs=8))
    assert (again.candidates, again.trained) == ((), 0)
    budget = {**TINY["budget"], "generations": 2}
    resume(run, changes={"generations": 2})
    start(tiny(budget=budget), tmp_path / "longer")
    assert [row for row in told(run) if row[0] != "t0-0"] == told(tmp_path / "longer")
    assert set(front(run)) - set(front(tmp_path / "longer")) == {"t0-0"}


def test_what_was_cut_off_goes_on_from_its_checkpoint_bit_for_bit(run, tmp_path, monkeypatch):
    shutil.copytree(run, tmp_path / "whole")
    wanted = Wanted(models=tuple(front(run)[:2]), epochs=6, teacher="best")
    train(tmp_path / "whole", wanted)
    monkeypatch.setattr(final_training, "PART_S", 1e-3)
    for reports in (2, 5):
        with pytest.raises(Stopped):
            train(run, wanted, listener=stopping_after(reports))
        assert list((run / "checkpoints").glob("t0-*.safetensors"))
        assert front(run) == front(tmp_path / "whole") or "t0-0" not in front(run)
    monkeypatch.setattr(final_training, "PART_S", 20.0)
    assert train(run, wanted).candidates == ("t0-0", "t0-1")
    assert final_rows(run) == final_rows(tmp_path / "whole")
    assert not (run / "checkpoints").exists()
    with RunStore.open(run, write=False) as store:
        assert len(plans(store)) == 1


def test_a_search_in_time_ends_with_trained_networks_and_a_finished_one_has_nothing_to_do(tmp_path):
    config = tiny(budget={"time": 20.0, "images_per_child": 320}, final={"share": 0.6, "models": 2, "most_epochs": 2})
    start(config, tmp_path / "run")
    with RunStore.open(tmp_path / "run", write=False) as store:
        (plan,) = plans(store)
    trained = final_rows(tmp_path / "run")
    assert [row[0] for row in trained] == [f"t0-{slot}" for slot in range(len(plan.goals))]
    assert {row[1] for row in trained} == {goal.parent for goal in plan.goals}
    before = told(tmp_path / "run")
    assert resume(tmp_path / "run").trained == 0
    assert told(tmp_path / "run") == before


def test_without_a_time_budget_only_epochs_ask_for_it(first_run, tmp_path):
    assert not final_rows(first_run[0])
    start(tiny(final={"epochs": 1, "models": 1}), tmp_path / "run")
    assert len(final_rows(tmp_path / "run")) == 1
    assert [row for row in told(tmp_path / "run") if row[1] is None or row[2] != "train"] == told(first_run[0])


def test_what_cannot_be_done_as_asked_is_refused_and_nothing_is_stored(run, tmp_path, monkeypatch):
    api, before = open_run(run), told(run)
    best = front(run)[0]
    cases = [
        (lambda: api.train("g9-9"), RequestError, "no model g9-9"),
        (lambda: api.train(epochs=0), ConfigError, "epochs must be at least 1, got 0"),
        (lambda: api.train(epochs=1, time_budget="1h"), ConfigError, "not both"),
        (lambda: api.train(time_budget="0.00001s"), ConfigError, "shorter than one epoch"),
        (lambda: api.train(time_budget="soon"), ConfigError, "a duration is a positive number"),
        (lambda: api.train(init="new"), ConfigError, "init is inherited or scratch, got 'new'"),
        (lambda: api.train(teacher="g9-9"), RequestError, "no teacher g9-9"),
        (lambda: api.train(workers=0), ConfigError, "workers must be at least 1"),
    ]
    for call, kind, message in cases:
        with pytest.raises(kind, match=message):
            call()
    with RunStore.open(run, write=True), pytest.raises(RunFolderError, match="is being written"):
        api.train(best, epochs=1)
    with RunStore.open(run, write=True) as store:
        fingerprint = store.meta("data_fingerprint", str)
        store.set_meta("data_fingerprint", "other")
    with pytest.raises((RequestError, DataError), match="fingerprint other"):
        api.train(best, epochs=1)
    with RunStore.open(run, write=True) as store:
        store.set_meta("data_fingerprint", fingerprint)
        store.collect(set())
    with pytest.raises(RequestError, match="were collected"):
        api.train(best, epochs=1)
    assert told(run) == before
    with RunStore.open(run, write=False) as store:
        assert not plans(store)


def test_a_teacher_for_other_images_or_classes_is_refused():
    small, large, fewer = (dict(initial_graphs(shape, classes))["gap-4-8-12"] for shape, classes in (
        ((1, 8, 8), 10), ((1, 16, 16), 10), ((1, 8, 8), 9)
    ))  # fmt: skip
    refuse_other_teacher(small, small)
    for teacher in (large, fewer):
        with pytest.raises(RequestError, match="choose another with --teacher"):
            refuse_other_teacher(teacher, small)


def test_the_search_keeps_its_own_front_for_its_children_and_what_is_trained_for_its_user(run):
    best = front(run)[0]
    train(run, Wanted(models=(best,), epochs=2))
    resume(run, keep="front")
    kept = {row.id for row in rows(run) if row.outcome.weights and _has_weights(run, row.outcome.weights)}
    assert {best, "t0-0"} <= kept


def _has_weights(folder: Path, name: str) -> bool:
    with RunStore.open(folder, write=False) as store:
        return store.has_weights(name)


@pytest.mark.parametrize("workers", [1, 2])
def test_one_network_keeps_to_its_time_however_many_workers_there_are(run, monkeypatch, workers):
    """Two workers cannot train one network: the time is not twice what was asked for."""
    executor = InThisProcess()
    executor.workers = workers
    monkeypatch.setattr("hwnas.experiment.training.executor_for", lambda context: executor)
    train(run, Wanted(models=(front(run)[0],), time_s=3.0))
    (made,) = (entry for entry in open_run(run).rows() if entry.is_trained)
    assert 2.0 < made.row.outcome.train_seconds < 5.0
