"""Calibration of new batch norms, on a network trained on digits."""

import pytest
import torch
from torch import Tensor

from hwnas.data import normalise
from hwnas.graph import BatchNorm
from hwnas.morphism import OPERATORS
from hwnas.network import Network, State
from hwnas.training import CALIBRATION_IMAGES, calibrate
from tests.chains import EXACT, chain
from tests.morphism.states import assert_same_function, child_of, training_loss
from tests.training.samples import digits, equal, fresh, graph, trained

INSERTIONS = (OPERATORS["insert_convolution"],)


@pytest.fixture(scope="module")
def parent() -> Network:
    network = fresh(name="pool-gap-4-8")
    trained(network, 8000)
    return network


def images(start: int = 0) -> tuple[Tensor, Tensor]:
    chosen = slice(start, start + CALIBRATION_IMAGES)
    return normalise(digits().train.images[chosen], digits()), digits().train.labels[chosen]


def inserted(parent: Network, seed: int, length: int, operators=INSERTIONS) -> Network:
    steps = [morphed for _, morphed in chain(parent.graph, seed, length, operators)]
    return child_of(parent.state(), steps, images()[0])


def statistics(network: Network, pixels: Tensor) -> dict[int, tuple[Tensor, Tensor]]:
    """Mean and variance of what each batch norm reads, in eval mode."""
    found = {}

    def before(node, inputs):
        if isinstance(node.op, BatchNorm):
            found[node.id] = (inputs[0].mean((0, 2, 3)), inputs[0].var((0, 2, 3), unbiased=False))

    with torch.no_grad():
        network.eval().walk(pixels, before=before)
    return found


def new_norms(network: Network, parent: Network) -> list[int]:
    return [node.id for node in network.graph if isinstance(node.op, BatchNorm) and node.id not in parent.graph]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("operators", [INSERTIONS, EXACT], ids=["insertions", "all exact operators"])
def test_the_training_mode_loss_stays_within_a_tenth_of_the_parents(parent, seed, operators):
    child = inserted(parent, seed, 8, operators)
    pixels, labels = images(CALIBRATION_IMAGES)  # others than it was calibrated on
    assert_same_function(parent, child, pixels)
    expected = training_loss(parent, pixels, labels)
    assert training_loss(child, pixels, labels) == pytest.approx(expected, rel=0.1)


def test_uncalibrated_ones_pass_in_eval_mode_and_wreck_the_training_mode(parent):
    child = inserted(parent, 0, 8)
    pixels, labels = images(CALIBRATION_IMAGES)
    state = child.state()
    for node in new_norms(child, parent):
        state[f"{node}.running_mean"].zero_()
        state[f"{node}.running_var"].fill_(1)
        state[f"{node}.weight"].fill_((1 + BatchNorm().eps) ** 0.5)
        state[f"{node}.bias"].zero_()
    child.load(state)
    assert_same_function(parent, child, pixels)
    assert training_loss(child, pixels, labels) > 1.5 * training_loss(parent, pixels, labels)


def test_each_one_has_the_statistics_of_its_own_input_after_those_before_it(parent):
    child = inserted(parent, 1, 6)
    state, found = child.state(), statistics(child, images()[0])
    new = new_norms(child, parent)
    assert len(new) == 6
    for node in new:
        mean, variance = found[node]
        torch.testing.assert_close(state[f"{node}.running_mean"], mean, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(state[f"{node}.running_var"], variance, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(state[f"{node}.weight"], (variance + BatchNorm().eps).sqrt(), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(state[f"{node}.bias"], mean, rtol=1e-4, atol=1e-5)


def test_the_order_of_the_request_does_not_matter_and_others_stay(parent):
    child = inserted(parent, 2, 5)
    new, expected = new_norms(child, parent), child.state()
    scrambled: State = child.state()
    for node in new:
        scrambled[f"{node}.running_mean"].fill_(3)
        scrambled[f"{node}.weight"].fill_(2)
    child.load(scrambled)
    calibrate(child, tuple(reversed(new)), images()[0])
    assert equal(child.state(), expected)
    others = [name for name in expected if int(name.split(".")[0]) in parent.graph]
    assert equal({name: expected[name] for name in others}, {name: parent.state()[name] for name in others})


@pytest.mark.parametrize("training", [True, False])
def test_the_mode_is_kept(training):
    network = fresh().train(training)
    norms = [node.id for node in graph() if isinstance(node.op, BatchNorm)]
    for nodes in ([], norms):
        calibrate(network, nodes, images()[0])
        assert network.training is training
    assert not equal(network.state(), fresh().state())
