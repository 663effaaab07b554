import itertools
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from reference_nets import resnet8, textbook_mobilenet_v2
from textbook import onnx_file
from textbook_training import Recipe, bfloat16_is_faster, channels_last, error, learning_rate, optimiser_for, train_for
from torch import nn

from hwnas.data import DataSet, DataSettings, Split, evaluation_batches, load
from hwnas.device import load_profile, session
from hwnas.graph import cost
from hwnas.importing import import_module

RECIPE = Recipe()
SMALL = Recipe(batch_size=16, peak=0.05)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """As the benchmark trains; two threads wait for each other where the machine is busy."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def digits() -> DataSet:
    return load(DataSettings())


def colourful(count: int = 8) -> DataSet:
    rng = np.random.default_rng(0)
    images = torch.from_numpy(rng.integers(0, 256, (count, 3, 32, 32), dtype=np.uint8))
    split = Split(images=images, labels=torch.arange(count) % 10)
    return DataSet.of("noise", tuple("0123456789"), split, split, split)


def test_the_rate_rises_to_its_peak_and_falls_to_nothing_in_straight_lines() -> None:
    rates = [learning_rate(RECIPE, progress) for progress in (0.0, 0.05, 0.1, 0.55, 1.0, 1.1)]
    assert rates == pytest.approx([0, RECIPE.peak / 2, RECIPE.peak, RECIPE.peak / 2, 0, 0])


@pytest.mark.slow
def test_a_training_takes_the_time_that_it_is_given_whatever_a_step_takes(digits: DataSet) -> None:
    for step_s, steps in ((1.0, 10), (2.5, 4), (50.0, 1)):
        ticks = itertools.count(0.0, step_s)
        network = resnet8(width=0.25, channels=1)
        generator = torch.Generator().manual_seed(0)
        trained = train_for(
            network, digits, 10.0, recipe=SMALL, generator=generator, bfloat16=False, clock=lambda ticks=ticks: next(ticks)
        )
        assert (trained.steps, trained.images) == (steps, steps * SMALL.batch_size)


def test_the_recipe_learns_digits(digits: DataSet) -> None:
    torch.manual_seed(0)
    network, generator = channels_last(resnet8(width=0.25, channels=1)), torch.Generator().manual_seed(0)
    ticks = itertools.count()
    train_for(network, digits, 60, recipe=SMALL, generator=generator, bfloat16=False, clock=lambda: float(next(ticks)))
    assert error(network, digits, digits.validation) < 0.25


def test_only_weights_decay() -> None:
    network = resnet8()
    groups = optimiser_for(network, RECIPE).param_groups
    decays = {id(parameter): group["weight_decay"] for group in groups for parameter in group["params"]}
    assert len(decays) == len(list(network.parameters()))
    for module in network.modules():
        for name, parameter in module.named_parameters(recurse=False):
            bare = isinstance(module, nn.BatchNorm2d) or name == "bias"
            assert decays[id(parameter)] == (0 if bare else RECIPE.weight_decay)


def test_the_number_format_is_tried_on_another_network(digits: DataSet) -> None:
    made = []

    def make() -> nn.Module:
        made.append(resnet8(width=0.25, channels=1))
        return made[-1]

    assert bfloat16_is_faster(make, digits, RECIPE) in (False, True)
    assert len(made) == 1


@pytest.mark.parametrize(
    ("network", "parameters", "macs"),
    [
        (resnet8(), 78_042, 12_501_632),
        (resnet8(width=0.5), 19_954, None),
        (resnet8(width=2), 308_650, None),
        pytest.param(textbook_mobilenet_v2(width=0.25), 162_602, None, marks=pytest.mark.slow),
        pytest.param(textbook_mobilenet_v2(width=0.5), 590_410, None, marks=pytest.mark.slow),
        # torchvision's with ten classes
        pytest.param(textbook_mobilenet_v2(), 2_236_682, None, marks=pytest.mark.slow),
    ],
)
def test_networks_have_the_sizes_of_the_literature(network: nn.Module, parameters: int, macs: int | None) -> None:
    graph, _ = import_module(network.eval(), channels=3, height=32, width=32)
    assert sum(parameter.numel() for parameter in network.parameters()) == parameters == cost(graph).parameters
    assert macs is None or cost(graph).macs == macs


@pytest.mark.parametrize("make", [resnet8, pytest.param(textbook_mobilenet_v2, marks=pytest.mark.slow)])
def test_the_onnx_file_answers_as_the_network_does(make) -> None:
    data = colourful()
    torch.manual_seed(0)
    network = make(width=0.5)
    network.train()(torch.randn(16, 3, 32, 32))  # statistics that are not those of a new batch norm
    network.eval()
    ((pixels, _),) = evaluation_batches(data, data.test, 8)
    (logits,) = session(onnx_file(network, data), load_profile("local-cpu")).run(
        None, {"image": data.test.images.numpy().astype(np.float32) / 255}
    )
    with torch.no_grad():
        assert logits == pytest.approx(network(pixels).numpy(), abs=1e-4)
