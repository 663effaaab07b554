"""Which networks are trained to the end, and for how long: pure."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwnas.errors import ConfigError
from hwnas.experiment.budget import images_that_fit
from hwnas.experiment.final import LEAST_EPOCHS, along_the_front, epochs_each, epochs_in_time, refuse_short
from hwnas.objectives import objectives_named

OBJECTIVES = objectives_named(("error", "parameters"))


def front(count: int) -> dict[str, dict[str, float]]:
    """Networks whose error falls as their size grows."""
    return {f"g0-{i}": {"error": 0.01 * (i + 1), "parameters": 1000.0 * 2 ** (count - i)} for i in range(count)}


def test_the_order_begins_with_the_most_accurate_and_spreads_along_the_front():
    ordered = along_the_front(front(9), OBJECTIVES)
    assert ordered[0] == "g0-0"
    assert sorted(ordered) == sorted(front(9))
    places = sorted(int(name.partition("-")[2]) for name in ordered[:4])
    assert max(later - earlier for earlier, later in itertools.pairwise(places)) <= 4
    assert places[-1] >= 5
    assert along_the_front({}, OBJECTIVES) == []
    assert along_the_front({"g0-0": {"error": 0.1, "parameters": 5.0}}, OBJECTIVES) == ["g0-0"]


def test_networks_far_above_the_least_error_come_last():
    values = {
        "accurate": {"error": 0.30, "parameters": 100_000.0},
        "near": {"error": 0.36, "parameters": 60_000.0},
        "far": {"error": 0.50, "parameters": 1_500.0},
        "farther": {"error": 0.55, "parameters": 500.0},
    }
    assert along_the_front(values, OBJECTIVES) == ["accurate", "near", "far", "farther"]
    small = {name: each | {"error": each["error"] / 10} for name, each in values.items()}  # 2.5 points more are not far
    assert along_the_front(small, OBJECTIVES)[1] == "far"


def test_what_the_training_changes_does_not_decide_the_order():
    values = {
        "accurate": {"error": 0.20, "parameters": 100_000.0, "expected_change": 900.0},
        "sturdy now": {"error": 0.24, "parameters": 95_000.0, "expected_change": 1.0},
        "small": {"error": 0.24, "parameters": 20_000.0, "expected_change": 900.0},
    }
    objectives = objectives_named(("error", "parameters", "expected_change"))
    assert along_the_front(values, objectives) == ["accurate", "small", "sturdy now"]


SECONDS = st.lists(st.floats(0.01, 100), min_size=1, max_size=30)


@given(seconds=SECONDS, limit_s=st.floats(0.1, 10_000), workers=st.integers(1, 4), models=st.integers(1, 6))
def test_a_time_is_kept_to_and_divided_by_the_square_root_of_the_work(seconds, limit_s, workers, models):
    epochs = epochs_in_time(seconds, limit_s, workers=workers, models=models, most=60)
    count = len(epochs)
    assert count <= len(seconds)
    if count:
        assert min(epochs) >= 1
        assert max(epochs) <= 60 * (1 + 1e-9)
        times = [number * each for number, each in zip(epochs, seconds, strict=False)]
        assert sum(times) <= limit_s * workers * (1 + 1e-9)
        assert max(times) <= limit_s * (1 + 1e-9)
        free = [i for i in range(count) if epochs[i] < 60 * (1 - 1e-9) and times[i] < limit_s * (1 - 1e-9)]
        units = [times[i] / seconds[i] ** 0.5 for i in free]
        assert not free or max(units) <= min(units) * (1 + 1e-6)
    if count > models:  # more than asked for only where all have had enough
        assert min(epochs) >= 60 * (1 - 1e-9)
    if 1 < count <= models:
        assert min(epochs) >= LEAST_EPOCHS * (1 - 1e-9)
    if count == 0:
        assert epochs_each(seconds[:1], limit_s, workers)[0] < 1


def test_tiny_networks_share_a_long_time_and_large_ones_are_fewer():
    assert epochs_in_time([0.01] * 40, 72, workers=1, models=5, most=60) == pytest.approx([60] * 40)
    assert epochs_in_time([0.1] * 40, 72, workers=1, models=5, most=60) == pytest.approx([60] * 12)
    assert epochs_in_time([10.0] * 40, 60, workers=1, models=5, most=60) == pytest.approx([3, 3])
    assert epochs_in_time([100.0] * 3, 60, workers=1, models=5, most=60) == ()
    assert epochs_each([40.0, 10.0], 900, 1) == pytest.approx([15, 30])


def test_a_time_that_is_too_short_is_refused_with_the_least():
    with pytest.raises(ConfigError, match=r"shorter than one epoch of the 2 chosen, about 30 s"):
        refuse_short([10.0, 20.0], 5.0, epochs_each([10.0, 20.0], 5.0, 1))


@given(images=st.integers(100, 10_000), took_s=st.floats(0.1, 100), left_s=st.floats(0, 1000), generation=st.integers(1, 30))
def test_children_are_trained_less_on_a_machine_that_became_slower(images, took_s, left_s, generation):
    fits = images_that_fit(images, generation=generation, planned=14, took_s=took_s, left_s=left_s, least=64, most=10_000)
    assert 64 <= fits <= 10_000
    needed_s = took_s * max(1, 11 - generation)
    if needed_s > left_s and fits > 64:
        assert fits <= images
        assert fits / images * needed_s <= left_s * 1.01 + took_s / images
    if needed_s <= left_s:
        assert fits >= images
