"""A search that tunes training settings: each network is trained by its own, and they are stored, shown and inherited."""

import pytest

from hwnas.api import open_run
from hwnas.config import make_config
from hwnas.data import Augmentation
from hwnas.errors import ConfigError
from hwnas.execution import evaluate_task
from hwnas.experiment import Wanted, resume, start, train
from hwnas.experiment.tuned import augmentation_of, final_trainer_of, trainer_of, tuned_settings
from hwnas.settings import TrainerSettings
from tests.experiment.conftest import front, rows, tiny, told

NOTHING = Augmentation()
TRAINER = TrainerSettings(learning_rate=0.1, weight_decay=5e-4)


def test_a_candidates_settings_take_the_place_of_the_runs():
    carried = {"learning_rate": 0.02, "label_smoothing": 0.1, "augmentation": 2.0}
    own = trainer_of(carried, TRAINER)
    assert own == TRAINER.model_copy(update={"learning_rate": 0.02, "label_smoothing": 0.1})
    assert trainer_of({}, TRAINER) == TRAINER
    usual = Augmentation(crop_padding=2, flip=True, cutout=3, mixup=0.2)
    assert augmentation_of(carried, usual) == Augmentation(crop_padding=4, flip=True, cutout=6, mixup=0.4)
    assert augmentation_of({}, usual) == usual


def test_a_long_training_keeps_the_proportion_of_rates():
    recipe = TrainerSettings(learning_rate=0.2, weight_decay=5e-4, batch_size=128)
    own = final_trainer_of({"learning_rate": 0.05, "weight_decay": 1e-3, "label_smoothing": 0.05}, recipe, TRAINER)
    assert (own.learning_rate, own.weight_decay) == pytest.approx((0.1, 1e-3))
    assert (own.label_smoothing, own.batch_size) == (0.05, 128)
    assert final_trainer_of({}, recipe, TRAINER) == recipe


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"trainer": {"learning_rate": 0.5}}, "learning_rate: fixed in the run file and to be tuned"),
        ({"augmentation": {"flip": True}}, "augmentation: fixed in the run file"),
        ({"tuning": {"enabled": True, "settings": ("momentum",)}}, "cannot tune 'momentum'.*learning_rate, weight_decay"),
        ({"tuning": {"enabled": True, "settings": ()}}, "expected settings to tune"),
        ({"tuning": {"enabled": True, "step": 0}}, "step must be above 0"),
        ({"tuning": {"enabled": True, "rate": 1}}, "unknown key tuning.rate"),
    ],
)
def test_what_cannot_be_tuned_is_refused(given, message, tmp_path):
    with pytest.raises(ConfigError, match=message):
        start(tiny(**{"tuning": {"enabled": True}, **given}), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_what_the_file_fixes_may_stand_beside_what_is_tuned():
    config = make_config({"trainer": {"learning_rate": 0.5}, "tuning": {"enabled": True, "settings": ("weight_decay",)}})
    (found,) = tuned_settings(config, TRAINER, NOTHING)
    assert (found.name, found.begin) == ("weight_decay", 5e-4)
    begun = make_config({"tuning": {"enabled": True, "begin": {"learning_rate": 0.003}}})
    assert tuned_settings(begun, TRAINER, NOTHING)[0].begin == 0.003
    assert [each.name for each in tuned_settings(begun, TRAINER, Augmentation(cutout=2))][-1] == "augmentation"
    assert tuned_settings(make_config({}), TRAINER, NOTHING) == ()


def test_a_run_trains_each_by_its_own_and_continues_as_it_would_have(tmp_path, monkeypatch):
    seen = {}

    def watched(task, *rest):
        seen[task.candidate_id] = task.trainer
        return evaluate_task(task, *rest)

    monkeypatch.setattr("hwnas.execution.inline.evaluate_task", watched)  # workers 0
    budget = {"generations": 2, "images_per_child": 320}
    start(tiny(tuning={"enabled": True}, budget=budget), tmp_path / "whole")
    tried = {row.id: row.training for row in rows(tmp_path / "whole")}
    assert all(set(each) == {"learning_rate", "weight_decay", "label_smoothing"} for each in tried.values())
    assert len({each["learning_rate"] for each in tried.values()}) > 10
    for name, trainer in seen.items():
        if name in tried:
            assert trainer.learning_rate == tried[name]["learning_rate"]
    start(tiny(tuning={"enabled": True}), tmp_path / "parts")
    resume(tmp_path / "parts", changes={"generations": 2})
    assert told(tmp_path / "parts") == told(tmp_path / "whole")
    best = front(tmp_path / "whole")[0]
    train(tmp_path / "whole", Wanted(models=(best,), epochs=1))
    (made,) = (entry for entry in open_run(tmp_path / "whole").rows() if entry.is_trained)
    assert made.row.training == tried[best]
    assert made.to_json()["tuned_learning_rate"] == tried[best]["learning_rate"]
    assert made.tuned.startswith("learning rate ")
