"""The pieces of a training to the end: its schedule, the moving average, what is kept."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hwnas.training import TrainerSettings, evaluate, learning_rate
from hwnas.training.averaging import EVERY, MovingAverage
from hwnas.training.schedule import Pace, optimiser_for
from tests.training.samples import digits, equal, fresh, trained

LINEAR = {"schedule": "linear", "warm_up": 0.1, "learning_rate": 0.2}


@given(steps=st.integers(10, 5000))
def test_a_linear_schedule_rises_to_its_peak_over_the_warm_up_and_falls_to_nothing(steps):
    settings = TrainerSettings(**LINEAR)
    rates = [learning_rate(settings, step, steps) for step in range(steps)]
    peak = rates.index(max(rates))
    assert 0.1 * steps - 1 <= peak <= 0.1 * steps + 1
    assert rates[: peak + 1] == sorted(rates[: peak + 1])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)
    assert 0 < rates[-1] <= 2 * 0.2 / (0.9 * steps)
    assert max(rates) <= 0.2


@given(steps=st.integers(2, 500), others=st.lists(st.integers(1, 1000), max_size=3), data=st.data())
def test_a_changed_pace_goes_on_where_the_schedule_stood_and_ends_with_it(steps, others, data):
    pace, at = Pace(steps=steps), 0
    for other in others:
        at = data.draw(st.integers(at, pace.steps - 1))
        changed = pace.changed(at, at + other)
        assert changed.at(at) / changed.steps == pytest.approx(pace.at(at) / pace.steps)
        pace = changed
    assert pace.at(pace.steps) == pytest.approx(pace.steps)
    assert Pace(steps=steps).at(7) == 7


def test_weight_decay_may_spare_batch_norms_and_biases():
    network = fresh(name="gap-4-8-12")
    before = {name: tensor.clone() for name, tensor in network.named_parameters()}
    optimiser = optimiser_for(network, TrainerSettings(weight_decay=0.5, decay_vectors=False, learning_rate=0.1, momentum=0.0))
    for parameter in network.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimiser.step()
    for name, parameter in network.named_parameters():
        assert torch.equal(parameter, before[name]) == (parameter.dim() == 1 or not before[name].any())


def test_a_moving_average_is_the_sum_by_hand_batch_norms_included():
    network, decay = fresh(name="gap-4-8-12"), 0.9
    average = MovingAverage(network, decay)
    expected = {name: tensor.clone().double() for name, tensor in network.state_dict().items()}
    for update in range(1, 60):
        with torch.no_grad():
            for tensor in network.state_dict().values():
                tensor.add_(torch.randn(tensor.shape))
        for step in range((update - 1) * EVERY + 1, update * EVERY + 1):
            average.update(step)
        kept = min(decay**EVERY, (1 + update) / (10 + update))
        expected = {name: kept * old + (1 - kept) * network.state_dict()[name] for name, old in expected.items()}
    for name, tensor in average.state().items():
        torch.testing.assert_close(tensor.double(), expected[name], rtol=1e-4, atol=1e-4)


def test_the_better_of_the_average_and_the_network_itself_is_kept():
    """At a constant high rate the average is better; at the very beginning of a training it lags behind."""
    settings = {"schedule": "constant", "learning_rate": 0.3, "average": 0.99}
    plain, kept = fresh(2), fresh(2)
    trained(plain, 3200, schedule="constant", learning_rate=0.3)
    did = trained(kept, 3200, **settings, keep_best=True)
    validation = digits().validation
    assert evaluate(kept, digits(), validation).error < evaluate(plain, digits(), validation).error
    assert did.evaluation.error == evaluate(kept, digits(), validation).error == did.curve[-1].error
    young = fresh(2)
    trained(young, 64, schedule="constant", average=0.999, keep_best=True)
    own = fresh(2)
    trained(own, 64, schedule="constant")
    assert equal(young.state(), own.state())


def test_a_training_in_vain_ends_early_and_gives_its_best():
    network = fresh(3)
    settings = {"schedule": "constant", "learning_rate": 1e-9, "keep_best": True, "patience": 0.25, "batch_size": 64}
    did = trained(network, 80_000, **settings)
    assert did.images < 80_000
    assert did.checkpoint is None
    assert did.evaluation.error == evaluate(network, digits(), digits().validation).error


def test_the_curve_has_the_loss_between_its_points_and_the_errors():
    did = trained(fresh(4), 20_000, keep_best=True, average=0.99)
    images = [point.images for point in did.curve]
    assert images == sorted(set(images))
    assert images[-1] == 20_000
    assert did.curve[-1].loss < did.curve[0].loss
    assert all(math.isfinite(point.loss) for point in did.curve)
    assert all(point.error is not None for point in did.curve[1:])
    short = trained(fresh(4), 640)
    assert [point.images for point in short.curve] == [512, 640]


def test_a_teacher_that_is_mixed_in_is_learned_from_to_the_end():
    teacher = fresh(7, "gap-4-8-12")
    trained(teacher, 8_000)
    mixed, alone, again = fresh(1), fresh(1), fresh(1)
    trained(mixed, 3200, teacher=teacher, distil_share=1.0, distil_mix=0.5)
    trained(alone, 3200)
    assert not equal(mixed.state(), alone.state())
    trained(again, 3200, teacher=teacher, distil_share=1.0, distil_mix=0.5)
    assert equal(mixed.state(), again.state())
