"""A network from outside teaches the networks that are trained to the end."""

import shutil
from pathlib import Path

import pytest
import torch

from hwnas.api import open_run
from hwnas.data import DataSettings, load, normalise
from hwnas.errors import HwnasError
from hwnas.experiment import Wanted, final_training, train
from hwnas.experiment.brought_teacher import META, renormalised
from hwnas.experiment.planning import plans
from hwnas.morphism.from_scratch import from_scratch
from hwnas.network import Network, transfer
from hwnas.spaces import initial_graphs
from hwnas.store import RunStore
from tests.experiment.conftest import front, told

pytestmark = pytest.mark.usefixtures("in_this_process")


@pytest.fixture
def run(first_run, tmp_path) -> Path:
    shutil.copytree(first_run[0], tmp_path / "run")
    return tmp_path / "run"


@pytest.fixture
def file(run, tmp_path) -> str:
    """The most accurate network of the run as a file, whose normalisation is inside."""
    open_run(run).export(tmp_path / "bundle", models=[front(run)[0]])
    return str(tmp_path / "bundle" / f"{front(run)[0]}.onnx")


def final_values(folder: Path) -> list[tuple[object, ...]]:
    return [row[3:] for row in told(folder) if str(row[0]).startswith("t")]


def last_loss(folder: Path) -> float:
    """The training loss at the end of the one network that was trained to the end."""
    (trained,) = (entry for entry in open_run(folder).rows() if entry.is_trained)
    return trained.curve()[-1]["loss"]


def test_a_file_teaches_what_the_network_in_it_would(run, file, tmp_path):
    """The file's network is the run's best: who it teaches learns the same from either, but for the rounding of its file."""
    shutil.copytree(run, tmp_path / "inside")
    shutil.copytree(run, tmp_path / "untaught")
    best, worst = front(run)[0], front(run)[-1]
    train(run, Wanted(models=(worst,), epochs=2, teacher=file))
    train(tmp_path / "inside", Wanted(models=(worst,), epochs=2, teacher=best))
    train(tmp_path / "untaught", Wanted(models=(worst,), epochs=2, teacher="none"))
    with RunStore.open(run, write=False) as store:
        (plan,), (stored,) = plans(store), store.meta(META)
        assert plan.goals[0].teacher == stored["id"]
        assert stored["id"].startswith(f"{file} (")
    loss = [last_loss(folder) for folder in (run, tmp_path / "inside", tmp_path / "untaught")]
    assert loss[0] == pytest.approx(loss[1], rel=1e-3)
    assert abs(loss[2] - loss[1]) > 10 * abs(loss[0] - loss[1])


def test_what_was_cut_off_goes_on_though_the_file_is_gone(run, file, tmp_path, monkeypatch):
    shutil.copytree(run, tmp_path / "whole")
    wanted = Wanted(models=(front(run)[-1],), epochs=4, teacher=file)
    train(tmp_path / "whole", wanted)
    monkeypatch.setattr(final_training, "PART_S", 1e-3)

    def stop(progress):
        if progress.phase == "final":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(run, wanted, listener=stop)
    with RunStore.open(run, write=True) as store:
        store.collect({front(run)[-1]})  # its weights are no network's of the run, and stay
    Path(file).unlink()
    train(run, wanted)
    assert final_values(run) == final_values(tmp_path / "whole")


def test_who_cannot_teach_is_refused_and_nothing_is_stored(run, file, tmp_path):
    best, before = front(run)[0], told(run)
    (tmp_path / "weights.pth").write_bytes(b"")
    cases = [
        (str(tmp_path / "none.onnx"), "none.onnx"),
        (str(tmp_path / "weights.pth"), "pickle"),
        ("timm:no_such_network", "no_such_network"),
        ("no.such.module:factory", "no.such"),
        (file, "errs on"),  # it is the network that it is to teach
    ]
    for teacher, message in cases:
        with pytest.raises(HwnasError, match=message):
            open_run(run).train([best], epochs=1, teacher=teacher)
    assert told(run) == before
    with RunStore.open(run, write=False) as store:
        assert not plans(store)
        assert store.find_meta(META) is None


def test_a_teacher_sees_images_normalised_as_it_was_trained():
    data = load(DataSettings())
    _, graph = initial_graphs(data.shape, len(data.classes))[0]
    state = transfer([(graph, from_scratch(graph))], {}, torch.Generator().manual_seed(0))
    own = ((0.3,), (0.7,))
    changed, tensors = renormalised(graph, state, data, own)
    images = data.validation.images[:32]
    raw = images.float() / 255 if images.dtype == torch.uint8 else images
    with torch.no_grad():
        expected = Network(graph, state).eval()((raw - 0.3) / 0.7)
        found = Network(changed, tensors).eval()(normalise(images, data))
    assert torch.allclose(found, expected, atol=1e-5)
    assert renormalised(graph, state, data, (data.mean, data.std))[0] is graph
