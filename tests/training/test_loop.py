"""The training loop: against one written plainly with torch's own parts, and on real digits."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Generator

from hwnas.data import class_weights, training_batches
from hwnas.errors import DivergedError
from hwnas.network import Network
from hwnas.training import TrainerSettings, evaluate, learning_rate
from tests.training.samples import PLAIN, answers, channel_picker, digits, equal, fresh, trained


def plainly_trained(network: Network, images: int, seed: int, teacher: Network | None = None, **changes: object) -> list[float]:
    """Train as the settings say, with torch's own schedule and plain optimisers; gives the rates used."""
    settings = TrainerSettings(**changes)
    data, rates = digits(), []
    steps = math.ceil(images / settings.batch_size)
    if settings.optimiser == "sgd":
        optimiser: torch.optim.Optimizer = torch.optim.SGD(
            network.parameters(), settings.learning_rate, settings.momentum, 0, settings.weight_decay, nesterov=True
        )
    else:
        optimiser = torch.optim.AdamW(network.parameters(), settings.learning_rate, weight_decay=settings.weight_decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    weights = class_weights(data.train.labels, 10) if settings.class_weighted else None
    criterion = torch.nn.CrossEntropyLoss(weights, label_smoothing=settings.label_smoothing)
    generator = Generator().manual_seed(seed)
    batches = training_batches(data, images=images, batch_size=settings.batch_size, augmentation=PLAIN, generator=generator)
    for step, (pixels, labels) in enumerate(batches):
        logits = network.train()(pixels)
        loss = criterion(logits, labels)
        if teacher is not None and step < round(settings.distil_share * steps):
            t = settings.distil_temperature
            with torch.no_grad():
                p = F.softmax(teacher.eval()(pixels) / t, 1)
            loss = -(p * F.log_softmax(logits / t, 1)).sum(1).mean() * t * t
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        rates.append(optimiser.param_groups[0]["lr"])
        if settings.schedule == "cosine":
            schedule.step()
    return rates


def assert_close(network: Network, expected: Network) -> None:
    for name, tensor in expected.state().items():
        torch.testing.assert_close(network.state()[name], tensor, rtol=1e-3, atol=1e-4, msg=name)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"optimiser": "adamw", "learning_rate": 3e-3, "weight_decay": 0.1},
        {"schedule": "constant", "learning_rate": 0.02},
        {"label_smoothing": 0.2},
        {"class_weighted": True, "weight_decay": 0.05},
        {"batch_size": 30, "momentum": 0.5},
    ],
    ids=str,
)
def test_settings_mean_what_torch_means_by_them(changes):
    network, expected, start = fresh(), fresh(), fresh().state()
    did = trained(network, 200, seed=3, **changes)
    rates = plainly_trained(expected, 200, seed=3, **changes)
    assert_close(network, expected)
    assert not equal(network.state(), start)
    assert did.images == len(rates) * changes.get("batch_size", 16)
    settings = TrainerSettings(**changes)
    assert [learning_rate(settings, step, len(rates)) for step in range(len(rates))] == pytest.approx(rates)


@pytest.mark.parametrize(("share", "temperature"), [(0.25, 2.0), (1.0, 1.0), (0.5, 5.0)])
def test_a_share_of_the_steps_learns_the_teachers_soft_answers(share, temperature):
    teacher, network, expected = fresh(7), fresh(), fresh()
    trained(teacher, 640)
    known = teacher.state()
    changes = {"distil_share": share, "distil_temperature": temperature, "learning_rate": 0.02}
    trained(network, 128, teacher=teacher.train(), **changes)
    assert equal(teacher.state(), known)  # a teacher in training mode would have learnt its pupil's batches
    plainly_trained(expected, 128, seed=0, teacher=teacher, **changes)
    assert_close(network, expected)


def test_while_it_is_taught_a_child_trains_what_was_touched_alone():
    network, teacher = fresh(), fresh(7)
    before, (some, *others) = network.state(), list(dict(network.named_parameters()))
    trained(network, 320, teacher=teacher, first={some}, distil_share=1.0)
    after = network.state()
    assert not torch.equal(after[some], before[some])
    assert others
    assert all(torch.equal(after[name], before[name]) for name in others)
    trained(network, 320, teacher=teacher, first={some}, distil_share=0.5)  # the second half trains all
    assert not any(torch.equal(network.state()[name], before[name]) for name in others)
    alone, untaught = fresh(), fresh()
    trained(alone)
    trained(untaught, first={some})  # nobody to learn from: one phase
    assert equal(alone.state(), untaught.state())


def test_a_teacher_without_a_share_changes_nothing():
    alone, taught = fresh(), fresh()
    trained(alone)
    trained(taught, teacher=fresh(1), distil_share=0.0)
    assert equal(alone.state(), taught.state())


def test_the_optimiser_starts_afresh():
    network, expected = fresh(), fresh()
    for _ in range(2):
        trained(network, 96)
        plainly_trained(expected, 96, seed=0)
    assert_close(network, expected)


def test_one_seed_gives_the_same_bits_and_another_other_ones():
    networks = [fresh() for _ in range(3)]
    for network, seed in zip(networks, (5, 5, 6), strict=True):
        trained(network, seed=seed)
    states = [network.state() for network in networks]
    assert equal(states[0], states[1])
    assert not equal(states[0], states[2])


def test_global_randomness_is_neither_used_nor_touched():
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    first, second = fresh(), fresh()
    trained(first)
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.manual_seed(2)
    trained(second)
    assert equal(first.state(), second.state())


@given(st.integers(1, 5000), st.floats(1e-4, 1.0))
def test_the_schedule_spans_exactly_the_steps(steps, rate):
    settings = TrainerSettings(learning_rate=rate)
    rates = [learning_rate(settings, step, steps) for step in range(steps)]
    assert rates[0] == rate
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] > 0
    assert learning_rate(settings, steps, steps) == pytest.approx(0, abs=1e-12)
    assert sum(rates) / steps == pytest.approx(rate / 2 * (1 + 1 / steps))


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_digits_are_learnt(precision):
    network = fresh()
    before = evaluate(network, digits(), digits().validation)
    did = trained(network, 12_000, precision=precision)
    after = evaluate(network, digits(), digits().validation)
    assert before.error > 0.7
    assert after.error < 0.06
    assert 0 < did.loss < 0.5
    assert did.seconds > 0
    assert all(tensor.dtype == torch.float32 for tensor in network.state().values())


def test_mixed_up_labels_train_too():
    data = answers([0, 1, 2, 0], [0, 1, 2, 0], 3)
    network = channel_picker(3)
    trained(network, 64, data=data, class_weighted=True, label_smoothing=0.1, batch_size=4)
    assert evaluate(network, data, data.test).error == 0


@pytest.mark.parametrize(("images", "step"), [(16 * 1000, 32), (16 * 5, 5)])
def test_a_training_that_diverges_is_stopped_within_32_steps(images, step):
    network = fresh()
    state = network.state()
    last = max(state, key=lambda name: int(name.split(".")[0]))
    state[last] = torch.full_like(state[last], math.inf)
    network.load(state)
    with pytest.raises(DivergedError, match=rf"by step {step};.*learning_rate"):
        trained(network, images)


def test_too_large_a_rate_diverges():
    network = channel_picker(3)
    data = answers([0, 1, 2], [1, 2, 0], 3)
    with pytest.raises(DivergedError, match="learning rate"):
        trained(network, 16_000, data=data, learning_rate=10, weight_decay=1, schedule="constant", batch_size=3)
