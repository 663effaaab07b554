"""Networks trained on the validation images, too: for shipping, with a test error and no validation error."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from hwnas.api import open_run
from hwnas.data import DataSettings, load
from hwnas.errors import RequestError
from hwnas.experiment import Wanted, train
from hwnas.store import RunStore
from hwnas.tracking.record import record_of
from tests.experiment.conftest import front, told

pytestmark = pytest.mark.usefixtures("in_this_process")


@pytest.fixture
def run(first_run, tmp_path) -> Path:
    shutil.copytree(first_run[0], tmp_path / "run")
    return tmp_path / "run"


def test_the_training_split_then_holds_both(run):
    data = load(DataSettings())
    both = data.with_validation_in_training()
    assert torch.equal(both.train.images, torch.cat((data.train.images, data.validation.images)))
    assert torch.equal(both.train.labels, torch.cat((data.train.labels, data.validation.labels)))
    assert (both.mean, both.std, both.fingerprint) == (data.mean, data.std, data.fingerprint)


def test_what_learned_the_validation_images_has_a_test_error_and_is_on_no_front(run, tmp_path):
    best, before = front(run)[0], open_run(run).front()
    done = train(run, Wanted(models=(best,), epochs=2, also_validation=True))
    data = load(DataSettings())
    (made,) = (entry for entry in open_run(run).rows() if entry.is_trained)
    assert done.candidates == (made.id,) == ("t0-0",)
    assert (made.status, made.value("error"), made.on_front) == ("unvalidated", None, False)
    assert 0 <= made.value("test_error") < 1
    assert made.value("images") == pytest.approx(2 * (len(data.train) + len(data.validation)), abs=64)
    assert all(point["error"] is None for point in made.curve())
    assert [entry.id for entry in open_run(run).front()] == [entry.id for entry in before]
    open_run(run).export(tmp_path / "bundle", models=["t0-0"])
    (file,) = json.loads((tmp_path / "bundle" / "manifest.json").read_text())["files"]
    assert "validation_error" not in file["metadata"]
    assert "those of the validation split among them" in file["metadata"]["training"]
    assert train(run, Wanted(models=(best,), epochs=2, also_validation=True)).trained == 0
    assert train(run, Wanted(models=(best,), epochs=2)).candidates == ("t1-0",)


def test_nothing_learns_from_it_that_is_validated(run):
    best = front(run)[0]
    train(run, Wanted(models=(best,), epochs=1, also_validation=True))
    before = told(run)
    with pytest.raises(RequestError, match=f"t0-0 learned the validation images.*take {best}"):
        train(run, Wanted(models=("t0-0",), epochs=1))
    with pytest.raises(RequestError, match="cannot be a teacher"):
        train(run, Wanted(models=(front(run)[-1],), epochs=1, teacher="t0-0"))
    assert told(run) == before


def test_it_is_stored_without_an_error_and_every_view_of_the_run_copes(run, tmp_path):
    train(run, Wanted(models=(front(run)[0],), epochs=1, also_validation=True))
    with RunStore.open(run, write=False) as store:
        outcome = store.outcome("t0-0")
    assert outcome.status == "unvalidated"
    assert "error" not in outcome.values
    api = open_run(run)
    api.report(tmp_path / "report.html")
    assert "t0-0" in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert api.pick().entry.id != "t0-0"
    with RunStore.open(run, write=False) as store:
        record = record_of(store, api.objectives)
    assert "t0-0" not in {entry.id for entry in record.entries}
    assert record.left_out >= 1
    assert api.model("t0-0")(torch.zeros(1, 1, 8, 8)).shape == (1, 10)
