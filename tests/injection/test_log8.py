"""Networks in the logarithmic format: what is stored, the contract of the engines, what a campaign makes of them."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hwnas.campaign import Campaign, Examples, FaultSettings, trained
from hwnas.deployed import Program
from hwnas.errors import ConfigError, DataError
from hwnas.injection import FastSimulator, NaiveSimulator, TorchTarget, Upset
from hwnas.injection.bit_errors import activation_masks
from hwnas.injection.simulator import upset
from hwnas.resilience import LOG8
from tests.chains import grown_graphs
from tests.export.samples import random_state, statistics
from tests.injection.injection_samples import SAMPLES, batch, labels_of, tiny


def logarithmic(graph, seed: int = 0) -> Program:
    mean, std = statistics(graph)
    pictures = batch(graph, 16).numpy()
    return Program.of(graph, random_state(graph, seed), LOG8, mean=mean, std=std, calibration=pictures)


@pytest.mark.parametrize("name", SAMPLES)
def test_every_stored_tensor_holds_powers_of_two_near_the_exact_values(name: str) -> None:
    graph = SAMPLES[name]()
    mean, std = statistics(graph)
    made, exact = logarithmic(graph), Program.of(graph, random_state(graph), mean=mean, std=std)
    stored: list[torch.Tensor] = []
    made.run(batch(graph), disturb=lambda number, value: stored.append(value) or value)
    for step, value in zip(made.steps, stored, strict=True):
        held = value.numpy()
        np.testing.assert_array_equal(made.decoded(step.name, made.encoded(step.name, held)), held)
        eighths = np.log2(np.abs(held[held != 0])) * 8
        np.testing.assert_allclose(eighths, np.rint(eighths), atol=1e-3)
    for weight, value in exact.weights.items():
        change = (made.weights[weight] - value).abs()
        least = value.abs().max() * 2.0**-15  # half a code below the smallest value there is
        assert bool((change <= torch.maximum(value.abs() * 0.0443, least)).all())


def test_full_scale_is_the_least_power_of_two_that_nothing_exceeds() -> None:
    graph = SAMPLES["residual"]()
    made = logarithmic(graph)
    for name, array in made.memory.arrays.items():
        largest = np.abs(LOG8.decode(array)).max()
        assert largest == 0 or 0.5 <= largest <= 1.0, name


def test_every_bit_of_a_tiny_network_by_both_engines() -> None:
    made, pictures = logarithmic(tiny()), batch(tiny(), 4)
    before = made.memory.sha256()
    naive, fast = NaiveSimulator(made, pictures), FastSimulator(made, pictures)
    moved = 0
    for bit in range(made.memory.population.size):
        changes = made.memory.flipped(np.array([bit]))
        expected = naive.weights(changes)
        np.testing.assert_array_equal(fast.weights(changes).classes, expected.classes)
        moved += int(not expected.masked.all())
    assert moved > made.memory.population.size / 2
    assert made.memory.sha256() == before


@settings(max_examples=15, deadline=None)
@given(graph=grown_graphs(), seed=st.integers(0, 1000))
def test_activations_of_grown_networks(graph, seed: int) -> None:
    made, pictures, rng = logarithmic(graph), batch(graph, 3), np.random.default_rng(seed)
    naive, fast = NaiveSimulator(made, pictures), FastSimulator(made, pictures)
    step = int(rng.integers(len(made.steps)))
    size = made.activations.tensors[step].size
    upsets = [Upset(image=i, element=int(rng.integers(size)), mask=1 << int(rng.integers(8))) for i in range(3)]
    np.testing.assert_array_equal(fast.activations(step, upsets).classes, naive.activations(step, upsets).classes)


def test_a_flip_and_its_inverse_leave_a_stored_tensor_as_it_was() -> None:
    made, pictures = logarithmic(tiny()), batch(tiny(), 2)
    with torch.inference_mode():
        image = made.image(pictures)
        once = upset(made, 0, image, [Upset(image=1, element=7, mask=0x40)])
        changed = torch.nonzero(once != image)
        assert changed.tolist() == [[1, 0, 1, 2]]
        assert torch.equal(upset(made, 0, once, [Upset(image=1, element=7, mask=0x40)]), image)


def test_curves_fall_with_the_bit_error_rate() -> None:
    graph = SAMPLES["residual"]()
    made, pictures = logarithmic(graph), batch(graph, 60)
    engine = TorchTarget(made).engine(pictures.numpy())
    labels, rng = labels_of(made, pictures), np.random.default_rng(0)
    right = []
    for ber in (1e-5, 1e-1):
        masks, _ = activation_masks(made.activations, len(labels), ber, rng)
        right.append(float((engine.disturbed(masks).classes == labels).mean()))
    assert right[0] > right[1]


def test_campaigns_take_the_format_and_refuse_it_without_images() -> None:
    graph = tiny()
    pictures = batch(graph, 30).numpy()
    subject = trained("tiny", graph, random_state(graph), "log8", calibration=pictures)
    bench = subject.bench()
    examples = Examples(images=pictures, labels=bench.engine(pictures).classes.astype(np.int64))
    found = Campaign("tiny", bench, examples, FaultSettings(dtype="log8", half_width=5.0, max_faults=200)).single(
        None, lambda stage: None
    )
    assert {row["layer"] for row in found.rows} == {tensor.layer for tensor in bench.memory.population.tensors}
    with pytest.raises(ConfigError, match="log8 needs training images"):
        trained("tiny", graph, random_state(graph), "log8").bench()
    with pytest.raises(DataError, match="training images have"):
        trained("tiny", graph, random_state(graph), "log8", calibration=pictures[:, :, 1:]).bench()
