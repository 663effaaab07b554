"""Bit errors in activations: drawn as independent bits are, and computed as faults one by one would be."""

import numpy as np
import pytest
import torch
from scipy import stats

from hwnas.campaign import Campaign, Examples, FaultSettings
from hwnas.export import convert, emit
from hwnas.injection import FastSimulator, NaiveSimulator, QdqSimulator, QdqTarget, TorchTarget, Upset
from hwnas.injection.bit_errors import activation_masks
from hwnas.resilience import BFLOAT16, FLOAT32, Format, Population, Role, TensorBits
from tests.export.samples import images, random_state, statistics
from tests.injection.injection_samples import SAMPLES, batch, labels_of, program


def population(*sizes: int, layout: Format = FLOAT32) -> Population:
    tensors = [TensorBits(name=f"t{n}", layer="l", role=Role.ACTIVATION, size=n, format=layout) for n in sizes]
    return Population(tensors=tuple(tensors))


def test_every_bit_of_every_image_is_hit_equally_often() -> None:
    rng, counts, trials, ber = np.random.default_rng(0), np.zeros((4, 12 * 16)), 400, 0.05
    for _ in range(trials):
        masks, flips = activation_masks(population(5, 7, layout=BFLOAT16), 4, ber, rng)
        words = np.concatenate([masks[0], masks[1]], axis=1).copy()
        bits = np.unpackbits(words.view(np.uint8), axis=1)
        assert bits.sum() == flips
        counts += bits
    assert stats.chisquare(counts.ravel()).pvalue > 0.001
    assert counts.sum() == pytest.approx(trials * counts.size * ber, rel=0.03)


def test_all_bits_flip_at_rate_1_and_rare_errors_leave_tensors_out() -> None:
    masks, flips = activation_masks(population(3), 2, 1.0, np.random.default_rng(0))
    assert flips == 2 * 3 * 32
    assert (masks[0] == 2**32 - 1).all()
    assert activation_masks(population(3), 2, 1e-9, np.random.default_rng(0)) == ({}, 0)


@pytest.mark.parametrize("layout", [FLOAT32, BFLOAT16])
def test_masks_in_one_tensor_answer_as_upsets_do(layout: Format) -> None:
    made = program(SAMPLES["residual"](), layout)
    pictures = batch(made.graph)
    fast, naive = FastSimulator(made, pictures), NaiveSimulator(made, pictures)
    for step, tensor in enumerate(made.activations.tensors):
        upsets = [Upset(image=i, element=i % tensor.size, mask=1 << (layout.bits - 2)) for i in range(len(pictures))]
        masks = np.zeros((len(pictures), tensor.size), layout.word)
        for each in upsets:
            masks[each.image, each.element] = each.mask
        answers, expected = fast.disturbed({step: masks}), naive.activations(step, upsets)
        np.testing.assert_array_equal(answers.classes, expected.classes)
        np.testing.assert_array_equal(answers.masked, expected.masked)


@pytest.mark.parametrize("name", ["residual", "dense"])
def test_int8_files_answer_masks_as_they_answer_upsets(name: str) -> None:
    graph = SAMPLES[name]()
    mean, std = statistics(graph)
    calibration = images(graph, 32).numpy()
    model = convert(emit(graph, random_state(graph), mean=mean, std=std), "int8", calibration=calibration)
    engine = QdqSimulator(bench := QdqTarget(model), calibration[:6])
    assert engine.disturbed({}).masked.all()
    for step, tensor in enumerate(bench.activations.tensors):
        upsets = [Upset(image=i, element=i % tensor.size, mask=128) for i in range(6)]
        masks = np.zeros((6, tensor.size), np.uint8)
        for each in upsets:
            masks[each.image, each.element] = each.mask
        np.testing.assert_array_equal(engine.disturbed({step: masks}).classes, engine.activations(step, upsets).classes)


def test_a_curve_of_activations_falls_to_chance() -> None:
    made = program(SAMPLES["flat"]())
    pictures = batch(made.graph, 60)
    data = Examples(images=pictures.numpy(), labels=labels_of(made, pictures))
    settings = FaultSettings(target="activations", fault="ber", bers=(1e-6, 1e-3, 0.2), half_width=5.0)
    found = Campaign("m", TorchTarget(made), data, settings).curve(None, lambda stage: None)
    accuracies = found.curve.accuracies()
    assert accuracies[0] == pytest.approx(found.curve.clean, abs=0.02)
    assert accuracies[0] > accuracies[1] > accuracies[2]
    assert accuracies[2] < 0.3
    assert all(row["flips"] > 0 for row in found.rows if row["ber"] == 0.2)
    assert torch.equal(torch.from_numpy(data.images), pictures)
