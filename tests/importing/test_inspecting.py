"""``hwnas import``: what a search would take of a network, said before one begins."""

import json
import warnings
from pathlib import Path

import pytest
import torch
from torch import nn
from typer.testing import CliRunner

from hwnas.api import inspect
from hwnas.cli import app
from hwnas.data import load
from hwnas.errors import ConfigError, ModelError
from hwnas.importing import import_module
from hwnas.morphism.channel_groups import pinned_layers, prunable_share
from hwnas.settings import DataSettings
from tests.graphs import SAMPLES
from tests.importing.brought import Digits, digits_error

FACTORY = "tests.importing.brought:Digits"


def test_a_module_is_taken_with_its_error_and_costs() -> None:
    module = Digits()
    found = inspect(module, data="digits")
    assert found.evaluation is not None
    assert found.evaluation.error == pytest.approx(digits_error(module), abs=1e-9)
    assert found.parameters == sum(each.numel() for each in module.parameters())
    assert found.module_macs == found.macs
    assert (found.shape, found.classes, found.layers, found.is_new) == ((1, 8, 8), 10, 5, False)
    assert found.on_data is not None
    assert found.on_data.images == 256
    assert max(found.on_data.relative, found.on_random.relative) < 1e-4
    assert [(each.name, each.kind) for each in found.pinned] == [("fc.weight", "linear")]


def test_other_classes_are_a_new_head_and_have_no_error() -> None:
    found = inspect(Digits(classes=7), data="digits")
    assert (found.is_new, found.classes, found.evaluation) == (True, 10, None)


class Grouped(nn.Module):
    """Of two convolutions the second has groups, so that neither may change."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 8, 3, bias=False), nn.Conv2d(8, 8, 3, groups=2, bias=False)
        self.third, self.fc = nn.Conv2d(8, 16, 1, bias=False), nn.Linear(16, 4, bias=False)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.fc(self.third(self.second(self.first(images))).mean((2, 3)))


def test_what_can_be_pruned_is_counted_by_parameter() -> None:
    graph, _ = import_module(Grouped(), channels=3, height=8, width=8)
    sizes = {"first": 8 * 3 * 9, "second": 8 * 4 * 9, "third": 16 * 8, "fc": 4 * 16}
    prunable = sizes["third"] + sizes["fc"]  # its filters, and what reads them
    assert prunable_share(graph) == pytest.approx(prunable / sum(sizes.values()))
    reasons = [each.why for each in pinned_layers(graph)]
    assert ["are fixed" in why for why in reasons] == [True, False]  # what has groups begins no run of its own
    assert "classes" in reasons[-1]


@pytest.mark.parametrize("name", SAMPLES)
def test_a_share_is_one(name: str) -> None:
    assert 0 <= prunable_share(SAMPLES[name]()) <= 1


def test_the_command_prints_it_and_writes_json(tmp_path: Path) -> None:
    file = tmp_path / "found.json"
    done = CliRunner().invoke(app, ["import", FACTORY, "--data", "digits", "--json", str(file)])
    assert done.exit_code == 0, done.output
    assert "prunable" in done.stdout
    assert "its channels are the classes" in " ".join(done.stdout.split())
    content = json.loads(file.read_text())
    assert content["macs"] == content["module_macs"]
    assert content["evaluation"]["images"] > 256


def test_an_exported_program_says_its_own_size(tmp_path: Path) -> None:
    program = torch.export.export(Digits().eval(), (torch.zeros(2, 1, 8, 8),))
    torch.export.save(program, tmp_path / "digits.pt2")
    found = inspect(tmp_path / "digits.pt2")
    assert (found.shape, found.evaluation, found.module_macs) == ((1, 8, 8), None, None)


def test_a_file_takes_images_from_0_to_1_unless_it_is_told_otherwise(tmp_path: Path) -> None:
    data = load(DataSettings(seed=0))

    class Inside(nn.Module):
        """A convolution of images from 0 to 1, normalised by its weights, as hwnas's own files have it."""

        def __init__(self) -> None:
            super().__init__()
            self.conv, self.fc = nn.Conv2d(1, 4, 3), nn.Linear(4, 10)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return self.fc(self.conv(images).relu().mean((2, 3)))

    module = Inside().eval()
    with torch.no_grad():
        answers = module(data.validation.images.float() / 255).argmax(1)
    expected = float((answers != data.validation.labels).double().mean())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(module, (torch.zeros(1, 1, 8, 8),), tmp_path / "m.onnx", dynamo=False)
    found = inspect(tmp_path / "m.onnx", data="digits").evaluation
    assert found is not None
    assert found.error == pytest.approx(expected, abs=1e-9)


def test_a_module_without_a_size_asks_for_one() -> None:
    with pytest.raises(ConfigError, match="--image-size"):
        inspect(Digits())


def test_what_cannot_be_taken_names_the_line() -> None:
    class Odd(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return torch.fft.fft2(images).real.mean((2, 3))

    with pytest.raises(ModelError, match=r"test_inspecting\.py"):
        inspect(Odd(), image_size=(8, 8))
