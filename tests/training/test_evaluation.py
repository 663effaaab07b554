"""Evaluation, against networks whose answers are known."""

import math
import weakref

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hwnas.data import DataSet, Split, normalise
from hwnas.errors import DivergedError
from hwnas.network import Network
from hwnas.spaces import initial_graphs
from hwnas.training import error_of_guessing, evaluate, evaluation_of
from tests.training.samples import answers, channel_picker, digits, equal, fresh, trained


def test_errors_by_hand():
    data = answers([0, 0, 0, 0, 1, 1, 2], [0, 0, 0, 1, 1, 2, 0], 4)
    found = evaluate(channel_picker(4), data, data.validation)
    assert (found.wrong, found.images) == (3, 7)
    assert found.error == pytest.approx(3 / 7)
    assert found.balanced_error == pytest.approx((1 / 4 + 1 / 2 + 1) / 3)  # the fourth class does not occur


@given(st.lists(st.integers(0, 3), min_size=1, max_size=40), st.sampled_from(["error", "balanced_error"]))
def test_guessing_is_the_best_of_the_constant_answers(labels, metric):
    constant = [evaluation_of(torch.eye(4)[[guess] * len(labels)], torch.tensor(labels), 4) for guess in range(4)]
    best = min(found.by(metric)[0] for found in constant)
    assert error_of_guessing(torch.tensor(labels), metric) == pytest.approx(best)


@given(st.lists(st.booleans(), min_size=1, max_size=60))
def test_the_interval_is_wilsons(right):
    labels = [0, 1, *(0 for _ in right)]
    data = answers(labels, [0, 1, *(0 if answer else 1 for answer in right)], 2)
    found = evaluate(channel_picker(2), data, data.test)
    n, p, z = len(labels), right.count(False) / len(labels), 1.959963984540054
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    assert found.error == pytest.approx(p)
    assert (found.low, found.high) == pytest.approx((centre - half, centre + half), abs=1e-9)


def test_it_is_the_eval_mode_over_all_images_and_leaves_the_network_as_it_is():
    network = fresh()
    trained(network)
    state = network.state()
    split = digits().train  # more than one batch, the last one smaller
    found = evaluate(network.train(), digits(), split)
    with torch.no_grad():
        logits = network.eval()(normalise(split.images, digits()))
    assert found.images == len(split)
    assert found.wrong == int((logits.argmax(1) != split.labels).sum())
    assert found.loss == pytest.approx(float(torch.nn.functional.cross_entropy(logits, split.labels)), rel=1e-4)
    assert equal(network.state(), state)


def test_large_images_are_evaluated_in_small_batches_and_maps_that_nobody_reads_are_let_go():
    class Watched(Network):
        def walk(self, images, **_):
            def after(node, value):
                alive[:] = [*(held for held in alive if held() is not None), weakref.ref(value)]
                most.append(sum(held().numel() for held in alive))
                return value

            alive: list[weakref.ref[torch.Tensor]] = []
            sizes.append(len(images))
            return super().walk(images, after=after)

    sizes, most = [], []
    (_, graph), *_ = initial_graphs((3, 128, 128), 2)
    split = Split(images=torch.zeros((130, 3, 128, 128), dtype=torch.uint8), labels=torch.arange(130) % 2)
    data = DataSet.of("large", ("cat", "dog"), split, split, split)
    assert evaluate(Watched(graph), data, split).images == 130
    assert sizes == [64, 64, 2]
    image, maps = (64 * math.prod(shape) for shape in (data.shape, (4, 64, 64)))
    assert max(most) <= image + 2 * maps


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_logits_that_are_not_finite_are_a_divergence(value):
    network = channel_picker(3)
    data = answers([0, 1, 2], [0, 1, 2], 3)
    network.load({"3.weight": torch.eye(3), "3.bias": torch.tensor([0.0, value, 0.0])})
    with pytest.raises(DivergedError, match="not finite"):
        evaluate(network, data, data.validation)
