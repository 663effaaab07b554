"""Networks that answer together: which are chosen, what is said of them, and that their file answers as they do."""

import json
import math
import shutil
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from sklearn.metrics import log_loss

from hwnas import ensemble, start
from hwnas.data import DataSettings, load
from hwnas.errors import ConfigError, ExportError, RequestError
from hwnas.export import emit
from hwnas.export.ensemble_file import joined
from hwnas.models.deploying import pixels
from hwnas.models.ensembling import forward_selection, scores, together
from hwnas.store import RunStore
from hwnas.training.confidence import calibration_error
from tests.conftest import Made, hwnas
from tests.export.samples import random_state
from tests.graphs import SAMPLES


def answers(rng: np.random.Generator, labels: torch.Tensor, strength: float, classes: int = 4) -> torch.Tensor:
    """Log probabilities that favour the label the more, the greater the strength."""
    logits = torch.from_numpy(rng.normal(size=(len(labels), classes))).float()
    logits[torch.arange(len(labels)), labels] += strength
    return torch.log_softmax(logits, dim=1)


@pytest.fixture(scope="session")
def longer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose best networks are briefly trained and much alike, so that several are better than one."""
    folder = tmp_path_factory.mktemp("ensemble") / "run"
    budget = {"generations": 1, "images_per_child": 800}
    start(folder, config={"workers": 0, "objectives": ("error", "parameters"), "budget": budget})
    return folder


@pytest.fixture
def three() -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    rng = np.random.default_rng(0)
    labels = torch.from_numpy(rng.integers(0, 4, 400))
    return {name: answers(rng, labels, strength) for name, strength in (("a", 1.5), ("b", 1.4), ("c", 0.2))}, labels


def test_the_mean_is_of_probabilities(three):
    found, _ = three
    mean = torch.stack([each.exp() for each in found.values()]).mean(0)
    assert torch.allclose(together(list(found.values())).exp(), mean, atol=1e-6)


def test_the_likelihood_is_that_of_scikit_learn(three):
    found, labels = three
    probabilities = torch.softmax(found["a"].double(), dim=1)
    assert scores(found["a"], labels).nll == pytest.approx(log_loss(labels, probabilities, labels=range(4)), rel=1e-5)


def test_a_classifier_that_is_as_often_right_as_it_says_is_calibrated():
    rng = np.random.default_rng(1)
    confidence = rng.uniform(0.5, 1, 200_000)
    log_probabilities = torch.from_numpy(np.log(np.stack([confidence, 1 - confidence], axis=1)))
    labels = torch.from_numpy((rng.uniform(size=len(confidence)) > confidence).astype(np.int64))
    assert calibration_error(log_probabilities, labels) < 0.01
    sure = torch.log(torch.tensor([[1 - 1e-9, 1e-9]])).expand(1000, 2)
    assert calibration_error(sure, torch.arange(1000) % 2) == pytest.approx(0.5, abs=1e-6)


def test_the_best_begins_and_each_further_one_lowers_the_likelihood(three):
    found, labels = three
    assert forward_selection(found, labels, 1) == ("a",)
    assert forward_selection(found, labels, 3) == ("a", "b")
    assert scores(together([found["a"], found["b"]]), labels).nll < scores(found["a"], labels).nll


def test_the_sum_of_latencies_keeps_within_the_limit(three):
    found, labels = three
    latencies = {"a": 3.0, "b": 2.0, "c": 0.5}
    assert forward_selection(found, labels, 3, latencies, 4.9) == ("a",)
    assert forward_selection(found, labels, 3, latencies, 5.0) == ("a", "b")
    assert forward_selection(found, labels, 3, latencies, 2.5)[0] == "b"
    assert forward_selection(found, labels, 3, latencies, 0.1) == ()
    assert forward_selection(found, labels, 3, latencies, math.inf) == ("a", "b")


@pytest.mark.parametrize("opset", [17, 18])
def test_a_joined_file_answers_with_the_mean_of_its_members(opset):
    graph = SAMPLES["plain"]()
    files = [emit(graph, random_state(graph, seed), opset=opset) for seed in (0, 1, 2)]
    shape = graph.shapes[graph.input.id]
    images = np.random.default_rng(0).uniform(size=(5, *shape)).astype(np.float32)

    def logits(content: bytes) -> np.ndarray:
        return onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"]).run(["logits"], {"image": images})[0]

    content = joined(files, {"members": "three"})
    onnx.checker.check_model(onnx.load_model_from_string(content), full_check=True)
    members = [torch.log_softmax(torch.from_numpy(logits(file)), dim=1) for file in files]
    np.testing.assert_allclose(logits(content), together(members).numpy(), atol=1e-5)
    assert {each.key: each.value for each in onnx.load_model_from_string(content).metadata_props}["members"] == "three"


def test_members_for_other_images_are_refused():
    files = [emit(graph, random_state(graph)) for graph in (SAMPLES["plain"](), SAMPLES["residual"]())]
    with pytest.raises(ExportError, match="take the same images"):
        joined(files)


def test_a_run_gives_one_checked_file_that_a_fault_campaign_takes(longer: Path, tmp_path: Path) -> None:
    out = tmp_path / "e.onnx"
    found = ensemble(longer, size=3, out=out)
    assert len(found.members) == len(set(found.members)) >= 2
    assert found.validation.nll < found.single_validation.nll
    assert found.single == found.members[0]
    data = load(DataSettings(seed=0))
    session = onnxruntime.InferenceSession(out, providers=["CPUExecutionProvider"])
    logits = session.run(["logits"], {"image": pixels(data.test)})[0]
    assert float((logits.argmax(1) != data.test.labels.numpy()).mean()) == pytest.approx(found.test.error, abs=1e-9)
    assert np.exp(logits).sum(1) == pytest.approx(1, abs=1e-4)
    again = ensemble(longer, size=3, out=out)  # over its own file
    assert again.members == found.members
    options = ["--data", "digits", "--fault", "single", "--half-width", "20", "--json", "f.json", "--quiet"]
    done = hwnas("faults", "--onnx", out, *options, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "f.json").read_text())["networks"][0]["model"] == "e.onnx"


def test_what_cannot_be_an_ensemble_is_refused_and_nothing_is_written(tiny_run: Made, tmp_path: Path) -> None:
    out = tmp_path / "e.onnx"
    for options, message in (
        ({"size": 1}, "two networks at least"),
        ({"max_latency_ms": 0}, "max_latency_ms must be above 0"),
        ({"max_latency_ms": 5.0}, "measured no latency: leave out the limit"),
    ):
        with pytest.raises((ConfigError, RequestError), match=message):
            ensemble(tiny_run.folder, out=out, **options)
    emptied = Path(shutil.copytree(tiny_run.folder, tmp_path / "emptied"))
    with RunStore.open(emptied, write=True) as store:
        store.collect(set())
    with pytest.raises(RequestError, match=r"has 0, of .* that finished"):
        ensemble(emptied, out=out)
    assert not out.exists()
    out.write_bytes(b"mine")
    with pytest.raises(RequestError, match="is not an ensemble of hwnas"):
        ensemble(tiny_run.folder, out=out)
    assert out.read_bytes() == b"mine"
