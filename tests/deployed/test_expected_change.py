"""The expected change is exact where the network is linear in every word; elsewhere it ranks faults as injecting them does."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hwnas.deployed import Program
from hwnas.deployed.expected_change import IMAGES, LEAST, SHARE, activation_changes, expected_change, per_rate, weight_changes
from hwnas.graph import Graph
from hwnas.injection.simulator import Upset, upset
from hwnas.objectives import OBJECTIVES
from hwnas.resilience import BFLOAT16, FLOAT32, INT8, Format
from tests.export.samples import images, random_state
from tests.graphs import Builder
from tests.injection.injection_samples import program, tiny


def linear() -> Graph:
    """Two convolutions without activations: linear in every single weight and stored value."""
    b = Builder(1, 3, 3)
    b.conv(2, kernel=2, relu=False)
    b.conv(2, kernel=1, relu=False)
    return b.head(3)


def lost(clean: torch.Tensor, faulty: torch.Tensor) -> float:
    """Squared loss of the clean margin in its own units, at most 1, averaged over images."""
    order = clean.topk(2, dim=1)
    margins = order.values[:, 0] - order.values[:, 1]
    after = faulty.gather(1, order.indices)
    change = ((margins - (after[:, 0] - after[:, 1])) / margins).double()
    return float(torch.where(change.isfinite(), (change**2).clamp(max=1.0), 1.0).mean())


def layouts(layout: Format) -> Program:
    graph = linear()
    return Program.of(graph, random_state(graph), layout)


@pytest.mark.parametrize("layout", [FLOAT32, BFLOAT16])
def test_weights_of_a_linear_network_are_exact(layout: Format) -> None:
    made, pictures = layouts(FLOAT32), images(linear(), 3)
    stored = layouts(layout).memory
    clean = made.run(pictures)
    truth = 0.0
    for bit in range(stored.population.size):
        (change,) = stored.flipped(np.array([bit]))
        old = stored.formats[change.tensor].decode(stored.arrays[change.tensor].reshape(-1)[change.elements])
        new = stored.formats[change.tensor].decode(change.values)
        weights = {name: value.double() for name, value in made.weights.items()}
        weights[change.tensor].view(-1)[int(change.elements[0])] += float(new[0]) - float(old[0])
        truth += lost(clean, made.run(pictures.double(), weights))
    assert weight_changes(made, pictures, layout).mean() == pytest.approx(truth, rel=1e-3)


def test_feature_maps_of_a_linear_network_are_exact() -> None:
    made, pictures = layouts(FLOAT32), images(linear(), 2)
    clean = made.run(pictures)
    truth = 0.0
    for step, tensor in [*enumerate(made.activations.tensors)][1:-1]:  # neither the image nor the logits
        for element in range(tensor.size):
            for bit in range(16, 32):  # the lower ones do nothing
                upsets = [Upset(image=i, element=element, mask=1 << bit) for i in range(2)]

                def hit(number: int, value: torch.Tensor, step: int = step, upsets: list[Upset] = upsets) -> torch.Tensor:
                    return upset(made, step, value, upsets) if number == step else value

                truth += lost(clean, made.run(pictures, disturb=hit))
    assert activation_changes(made, pictures, FLOAT32).mean() == pytest.approx(truth, rel=2e-2)


def test_the_objective_is_that_of_int8_activations_and_never_0() -> None:
    graph = tiny()
    state, pixels = random_state(graph), (images(graph, 24) * 255).byte()
    made = Program.of(graph, state, mean=(0.5,), std=(0.25,))
    value = expected_change(graph, state, pixels, mean=(0.5,), std=(0.25,))
    assert value == pytest.approx(per_rate(activation_changes(made, pixels.float() / 255, INT8)))
    dead = {name: torch.zeros_like(tensor) if "running_var" not in name else tensor for name, tensor in state.items()}
    assert expected_change(graph, dead, pixels, mean=(0.5,), std=(0.25,)) > 0


def test_a_network_whose_answers_are_not_finite_is_the_worst_not_nan() -> None:
    graph = linear()
    state, pixels = random_state(graph), (images(graph, 4) * 255).byte()
    vast = {name: tensor * 1e19 if tensor.ndim > 1 else tensor for name, tensor in state.items()}
    bits = 8 * sum(tensor.size for tensor in Program.of(graph, state).activations.tensors[1:-1])
    assert expected_change(graph, state, pixels, mean=(0.5,), std=(0.25,)) < bits
    assert expected_change(graph, vast, pixels, mean=(0.5,), std=(0.25,)) == bits


@pytest.mark.parametrize("layout", [FLOAT32, INT8])
def test_images_are_held_a_few_at_a_time_without_a_change(layout: Format, monkeypatch: pytest.MonkeyPatch) -> None:
    made, pictures = program(tiny()), images(tiny(), 20)
    at_once = activation_changes(made, pictures, layout)
    monkeypatch.setattr("hwnas.deployed.expected_change.HELD", 3 * sum(step.tensor.elements for step in made.steps))
    assert activation_changes(made, pictures, layout) == pytest.approx(at_once, rel=1e-4)


def test_another_draw_of_images_says_the_same_within_the_resolution() -> None:
    graph = tiny()
    pixels = (images(graph, 8 * IMAGES) * 255).byte()
    resolution = OBJECTIVES["expected_change"].resolution
    for seed in range(3, 8):
        state = random_state(graph, seed)
        drawn = [expected_change(graph, state, some, mean=(0.5,), std=(0.25,)) for some in pixels.chunk(8)]
        assert np.std(np.log(drawn)) < np.log1p(resolution), seed


def test_a_network_without_a_feature_map_has_the_least_not_none() -> None:
    graph = Builder(1, 3, 3).head(3, pool=False)
    pixels = (images(graph, 4) * 255).byte()
    assert expected_change(graph, random_state(graph), pixels, mean=(0.5,), std=(0.25,)) == LEAST


@given(changes=arrays(np.float64, st.integers(1, 400), elements=st.floats(1e-3, 1e6)))
def test_at_its_rate_one_answer_in_twenty_changes(changes: np.ndarray) -> None:
    rate = SHARE / per_rate(changes)
    assert np.minimum(1.0, rate * changes).mean() == pytest.approx(SHARE)


def test_images_alike_give_their_mean_and_one_on_the_brink_counts_but_once() -> None:
    changes = np.random.default_rng(0).uniform(20.0, 30.0, IMAGES)
    assert per_rate(changes) == pytest.approx(changes.mean())
    changes[0] = 1e7
    assert per_rate(changes) == pytest.approx(per_rate(changes[1:]), rel=0.1)
    assert per_rate(np.zeros(IMAGES)) == 0


def test_a_larger_margin_is_safer_and_int8_bits_do_less_than_floats() -> None:
    made, pictures = program(tiny()), images(tiny(), 4)
    bits = {FLOAT32: made.memory.population.size, INT8: made.memory.population.size / 4}
    for changes in (weight_changes, activation_changes):
        for layout in (FLOAT32, INT8):
            value = changes(made, pictures, layout).mean()
            assert 0 < value < (bits[FLOAT32] if changes is weight_changes else made.activations.size)
    before = {name: weight.clone() for name, weight in made.weights.items()}
    weight_changes(made, pictures, FLOAT32)
    assert all(torch.equal(made.weights[name], weight) for name, weight in before.items())
