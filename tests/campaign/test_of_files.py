"""``hwnas faults --onnx F.onnx --data PATH``: anybody's classifier, without a run."""

import json
import warnings
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typer.testing import CliRunner, Result

from hwnas.cli import app
from hwnas.data import load, normalise
from hwnas.settings import DataSettings

IMAGE = torch.zeros(1, 1, 8, 8)
DATA = load(DataSettings(seed=0))


class Normalising(nn.Module):
    """A network for images from 0 to 1."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, images: Tensor) -> Tensor:
        return self.inner((images - DATA.mean[0]) / DATA.std[0])


def written(module: nn.Module, path: Path, image: Tensor = IMAGE) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(module, (image,), path, dynamo=False, input_names=["x"])
    return path


def network(classes: int = 10) -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Conv2d(1, 6, 3), nn.ReLU(), nn.Flatten(), nn.Linear(6 * 36, classes))


@pytest.fixture(scope="module")
def trained() -> nn.Module:
    module = network()
    images, labels = normalise(DATA.train.images, DATA), DATA.train.labels
    optimiser = torch.optim.AdamW(module.parameters(), lr=1e-2)
    for _ in range(60):
        loss = F.cross_entropy(module(images), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return module.eval()


def faulted(path: Path, *more: object) -> Result:
    options = ["--fault", "single", "--half-width", "3", "--quiet", "--out", path.parent / "faults"]
    return CliRunner().invoke(app, ["faults", "--onnx", str(path), *map(str, (*options, *more))])


def test_a_file_is_faulted_on_validation_images(trained: nn.Module, tmp_path: Path) -> None:
    path = written(Normalising(trained), tmp_path / "digits.onnx")
    done = faulted(path, "--data", "digits", "--validation-images", 100, "--json", tmp_path / "out.json")
    assert done.exit_code == 0, done.output
    (found,) = json.loads((tmp_path / "out.json").read_text())["networks"]
    assert found["clean_error"] < 0.2
    assert found["clean_error"] * 100 == pytest.approx(round(found["clean_error"] * 100))  # of 100 images
    assert "digits.onnx: one fault in a weight changes about one decision in" in " ".join(done.stdout.split())
    assert list((tmp_path / "faults").glob("digits.onnx-*.jsonl"))


def test_a_file_for_normalised_images_needs_to_be_told_so(trained: nn.Module, tmp_path: Path) -> None:
    path = written(trained, tmp_path / "digits.onnx")
    told = faulted(path, "--data", "digits", "--normalisation", f"{DATA.mean[0]},{DATA.std[0]}")
    assert told.exit_code == 0, told.output
    negative = written(nn.Sequential(trained, _Negated()), tmp_path / "other.onnx")
    refused = faulted(negative, "--data", "digits")
    assert refused.exit_code == 2
    assert "--normalisation" in refused.output


class _Negated(nn.Module):
    def forward(self, logits: Tensor) -> Tensor:
        return -logits


def test_a_file_of_other_classes_is_refused(tmp_path: Path) -> None:
    refused = faulted(written(network(classes=12), tmp_path / "twelve.onnx"), "--data", "digits")
    assert refused.exit_code == 2
    assert "12 outputs" in refused.output
    assert not (tmp_path / "faults").exists()


@pytest.mark.parametrize(
    ("module", "image", "message"),
    [
        (nn.Conv2d(1, 10, 3), torch.zeros(1, 1, 8, 8), "the output must be a vector of logits, got shape (10, 6, 6)"),
        (nn.Linear(64, 10), torch.zeros(1, 64), "one input of images (n, C, H, W), got 'x' (1, 64); give a classifier of images"),
        (nn.Sequential(nn.Flatten(), nn.Linear(64, 1)), torch.zeros(1, 1, 8, 8), "has 1 output and the data have 10 classes"),
    ],
)
def test_what_is_no_classifier_of_these_images_is_refused(module: nn.Module, image: Tensor, message: str, tmp_path: Path) -> None:
    refused = faulted(written(module, tmp_path / "other.onnx", image), "--data", "digits")
    assert refused.exit_code == 2
    assert message in " ".join(refused.output.split())
    assert not (tmp_path / "faults").exists()


def test_a_campaign_of_other_images_is_refused_and_kept(trained: nn.Module, tmp_path: Path) -> None:
    path = written(Normalising(trained), tmp_path / "digits.onnx")
    assert faulted(path, "--data", "digits", "--validation-images", 60, "--half-width", 30).exit_code == 0
    (kept,) = (tmp_path / "faults").glob("*.jsonl")
    before = kept.read_bytes()
    refused = faulted(path, "--data", "digits", "--validation-images", 50)
    assert refused.exit_code == 2
    assert "is the file of another data set" in " ".join(refused.output.split())
    assert kept.read_bytes() == before


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["faults"], "--data PATH"),
        (["faults", "--onnx", "a.onnx"], "--data PATH"),
        (["faults", "--data", "digits"], "nothing to fault"),
        (["faults", "run", "--onnx", "a.onnx", "--data", "digits"], "--data belongs to files without a run"),
        (["faults", "--onnx", "a.onnx", "--data", "digits", "--validation-images", "1"], "at least two"),
    ],
)
def test_what_is_missing_or_too_much_is_said(words: list[str], message: str) -> None:
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 2
    assert message in " ".join(done.output.split())
