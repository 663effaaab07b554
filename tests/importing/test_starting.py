"""A search that begins with a network of the user's own: its weights are kept, evaluated as they are, and inherited."""

from pathlib import Path

import pytest
import torch
from pyarrow import parquet
from safetensors.torch import save_file

import hwnas
from hwnas.data import load, normalise
from hwnas.errors import ModelError, RequestError
from hwnas.execution import unpack
from hwnas.experiment import Wanted, resume, start, train
from hwnas.experiment.starts import stored_starts
from hwnas.importing import NetworkSource
from hwnas.importing.weights import load_weights
from hwnas.network import Network
from hwnas.settings import IMAGENET, DataSettings
from hwnas.store import Row, RunStore
from tests.importing.brought import Digits, digits_error, tiny
from tests.importing.resnet20 import ResNet20

FACTORY = "tests.importing.brought:Digits"


def rows(folder: Path) -> list[Row]:
    with RunStore.open(folder, write=False) as store:
        return list(store.rows())


@pytest.fixture(scope="module")
def module() -> Digits:
    return Digits().eval()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, module: Digits) -> Path:
    folder = tmp_path_factory.mktemp("start") / "run"
    start(tiny(), folder, networks=[NetworkSource(given=module)])
    return folder


def test_the_network_is_a_finished_candidate_with_its_own_error(run: Path, module: Digits) -> None:
    first, *others = rows(run)
    assert (first.id, first.operator, first.outcome.status, first.values["images"]) == ("g0-0", "start", "finished", 0)
    assert first.values["error"] == pytest.approx(digits_error(module), abs=1e-9)
    assert others
    assert all(row.generation > 0 and row.parent is not None for row in others)  # the space's own do not join unasked


def test_that_its_validation_images_may_be_known_to_it_is_said(run: Path) -> None:
    with RunStore.open(run, write=False) as store:
        warnings = store.meta("data_card")["warnings"]
    assert any("Digits may have been trained on" in warning and "--validation" in warning for warning in warnings)


def test_its_weights_are_stored_as_they_came(run: Path, module: Digits) -> None:
    with RunStore.open(run, write=False) as store:
        (begun,) = stored_starts(store)
        outcome = store.outcome("g0-0")
        assert store.weights(outcome.weights) == begun.weights
        network = Network(begun.graph, unpack(begun.weights)).eval()
    images = torch.randn(3, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        torch.testing.assert_close(network(images), module(images), rtol=1e-4, atol=1e-5)


def test_a_run_goes_on_without_the_module_and_keeps_the_weights(run: Path) -> None:
    before = len(rows(run))
    resume(run, changes={"generations": 2}, keep="front")
    assert len(rows(run)) > before
    with RunStore.open(run, write=False) as store:
        assert stored_starts(store)


def test_it_can_be_trained_on(run: Path) -> None:
    train(run, Wanted(models=("g0-0",), epochs=1))
    trained = [row for row in rows(run) if row.is_trained]
    assert [row.parent for row in trained] == ["g0-0"]
    assert trained[0].outcome.status == "finished"


def test_by_name_with_weights_from_a_file(tmp_path: Path) -> None:
    other = Digits(seed=5)
    save_file(other.state_dict(), tmp_path / "w.safetensors")
    config = tiny(budget={"generations": 0, "images_per_child": 64}, with_initial=True)
    start(config, tmp_path / "run", networks=[NetworkSource(given=FACTORY, weights=tmp_path / "w.safetensors")])
    first, *others = rows(tmp_path / "run")
    assert first.values["error"] == pytest.approx(digits_error(other), abs=1e-9)
    assert {row.operator for row in others} == {"initial"}


def test_over_a_limit_it_is_shrunk_and_inherits(tmp_path: Path) -> None:
    config = tiny(limits={"parameters": 600}, budget={"generations": 0, "images_per_child": 64})
    start(config, tmp_path / "run", networks=[NetworkSource(given=Digits())])
    (row,) = rows(tmp_path / "run")
    assert row.operator.startswith("start+")
    assert row.values["parameters"] <= 600
    assert row.values["images"] > 0


def test_other_classes_give_it_a_new_head_that_is_trained(tmp_path: Path) -> None:
    config = tiny(budget={"generations": 0, "images_per_child": 64})
    start(config, tmp_path / "run", networks=[NetworkSource(given=Digits(classes=7))])
    (row,) = rows(tmp_path / "run")
    assert (row.operator, row.candidate.graph.classes) == ("new_head", 10)
    assert row.values["images"] > 0


REFUSED = {
    "unknown": ("tests.importing.brought:Nothing", "has no Nothing"),
    "no form": ("resnet", "expected a network as"),
    "raises": ("tests.importing.brought:raises", "raised ValueError: no"),
    "arguments": ("tests.importing.brought:needs", "without arguments"),
    "no module": ("tests.importing.brought:text", "gave a str"),
    "pickle": ("model.pth", "is a pickle"),
    "no file": ("model.onnx", "model.onnx"),
    "no program": ("model.pt2", "there is no file"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_network_is_refused_before_anything_is_written(case: str, tmp_path: Path) -> None:
    given, message = REFUSED[case]
    with pytest.raises(RequestError, match=message):
        start(tiny(), tmp_path / "run", networks=[NetworkSource(given=given)])
    assert not (tmp_path / "run").exists()


def test_weights_that_do_not_fit_are_listed(tmp_path: Path) -> None:
    state = Digits().state_dict()
    state["conv.weight"] = state["conv.weight"][:3].clone()
    state["extra"] = state.pop("fc.bias")
    save_file(state, tmp_path / "w.safetensors")
    with pytest.raises(ModelError, match=r"1 missing \(fc.bias\); 1 unknown \(extra\); 1 of another shape \(conv.weight \(3, "):
        start(tiny(), tmp_path / "run", networks=[NetworkSource(given=FACTORY, weights=tmp_path / "w.safetensors")])


def test_one_architecture_is_given_once(tmp_path: Path) -> None:
    sources = [NetworkSource(given=Digits()), NetworkSource(given=Digits(seed=2))]
    with pytest.raises(RequestError, match="networks of one architecture"):
        start(tiny(), tmp_path / "run", networks=sources)


DATA = Path(__file__).parents[3] / "shared" / "data"
WEIGHTS = DATA / "resnet20_cifar10" / "resnet20.safetensors"


@pytest.mark.skipif(not WEIGHTS.is_file(), reason="the third party's network is not here")
def test_a_third_partys_resnet20_leads_the_front_with_the_error_of_plain_torch(tmp_path: Path) -> None:
    table = parquet.read_table(DATA / "cifar10" / "test.parquet")
    for place, (name, count) in enumerate((("train", 200), ("validation", 400), ("test", 100))):
        (tmp_path / "data").mkdir(exist_ok=True)
        parquet.write_table(table.slice(1000 * place, count), tmp_path / "data" / f"{name}.parquet")
    run = hwnas.start(
        tmp_path / "run",
        config=tiny(budget={"generations": 1, "images_per_child": 32}),
        initial=[NetworkSource(given="tests.importing.resnet20:ResNet20", weights=WEIGHTS)],
        data=tmp_path / "data",
        normalisation="imagenet",
    )
    module = ResNet20()
    load_weights(module, WEIGHTS)
    data = load(DataSettings(source=str(tmp_path / "data"), normalisation=IMAGENET))
    with torch.no_grad():
        wrong = int((module.eval()(normalise(data.validation.images, data)).argmax(1) != data.validation.labels).sum())
    first = run.front()[0]
    assert (first.id, first.row.operator) == ("g0-0", "start")
    assert first.value("error") == pytest.approx(wrong / 400, abs=1 / 400 + 1e-9)
    assert wrong / 400 < 0.15
