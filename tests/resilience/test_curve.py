import numpy as np
import pytest

from hwnas.errors import ConfigError
from hwnas.resilience import Curve, TrialKind, area_weights, crossing_ber, half_level, normalised_area, plain_kinds, summarise

BERS = (1e-6, 1e-5, 1e-4, 1e-3)


def curve(levels: tuple[float, ...], noise: float = 0.01, trials: int = 40, seed: int = 0) -> Curve:
    rng = np.random.default_rng(seed)
    drawn = tuple(np.clip(rng.normal(level, noise, trials), 0, 1) for level in levels)
    return Curve(bers=BERS, kinds=plain_kinds(4), trials=drawn, clean=0.9, chance=0.1)


def test_area_of_known_curves() -> None:
    def area(levels: list[float]) -> float:
        return float(normalised_area(BERS, levels, clean=0.9, chance=0.1))

    assert area([0.9] * 4) == pytest.approx(1)
    assert area([0.1] * 4) == pytest.approx(0)
    assert area([0.9, 0.9, 0.1, 0.1]) == pytest.approx(0.5)
    assert area([0.9, 0.9 - 0.8 / 3, 0.9 - 1.6 / 3, 0.1]) == pytest.approx(0.5)
    assert area([0.05] * 4) < 0  # worse than guessing is not clipped
    both = normalised_area(BERS, [[0.9] * 4, [0.1] * 4], clean=0.9, chance=0.1)
    np.testing.assert_allclose(both, [1, 0])


def test_area_weighs_unequal_steps_by_their_decades() -> None:
    assert normalised_area([1e-6, 1e-5, 1e-3], [0.9, 0.9, 0.1], clean=0.9, chance=0.1) == pytest.approx((1 + 0.5 * 2) / 3)


def test_crossings_are_interpolated_in_decades() -> None:
    assert crossing_ber(BERS, [0.9, 0.9, 0.5, 0.1], 0.5) == pytest.approx(1e-4)
    assert crossing_ber(BERS, [0.9, 0.8, 0.4, 0.1], 0.6) == pytest.approx(10**-4.5)
    assert crossing_ber(BERS, [0.9] * 4, 0.5) == np.inf
    assert crossing_ber(BERS, [0.4, 0.3, 0.2, 0.1], 0.5) == 0
    assert half_level(clean=0.9, chance=0.1) == pytest.approx(0.5)


def test_a_rise_is_noise_and_is_averaged_away() -> None:
    straight = crossing_ber(BERS, [0.9, 0.6, 0.6, 0.1], 0.5)
    assert crossing_ber(BERS, [0.9, 0.5, 0.7, 0.1], 0.5) == pytest.approx(straight)


def test_summary_holds_the_truth_and_is_replayable() -> None:
    levels = (0.9, 0.8, 0.5, 0.2)
    truth = float(normalised_area(BERS, levels, clean=0.9, chance=0.1))
    held = []
    for seed in range(60):
        summary = summarise(curve(levels, 0.05, seed=seed), np.random.default_rng(seed), resamples=300)
        held.append(summary.area.low <= truth <= summary.area.high)
    assert np.mean(held) >= 0.93
    assert summary == summarise(curve(levels, 0.05, seed=59), np.random.default_rng(59), resamples=300)
    assert summary.half_ber.low <= 1e-4 <= summary.half_ber.high
    assert 1e-6 <= summary.tolerated_ber.value < summary.half_ber.value
    assert [round(estimate.value, 1) for estimate in summary.accuracies] == [0.9, 0.8, 0.5, 0.2]


def test_kinds_of_trials_are_put_together_by_their_shares() -> None:
    kinds = (
        TrialKind(rate=1, name="light", share=0.3),
        TrialKind(rate=1, name="heavy", share=0.2),
        TrialKind(rate=2, name="heavy", share=1.0),
    )
    trials = tuple(np.array([level, level]) for level in (0.8, 0.1, 0.2))
    found = Curve(bers=(1e-6, 1e-5, 1e-3), kinds=kinds, trials=trials, clean=0.9, chance=0.1)
    expected = [0.9, 0.5 * 0.9 + 0.3 * 0.8 + 0.2 * 0.1, 0.2]  # at the first rate nothing is ever hit
    np.testing.assert_allclose(found.accuracies(), expected)
    np.testing.assert_allclose(found.resampled(np.random.default_rng(0), 3), [expected] * 3)
    summary = summarise(found, np.random.default_rng(0), resamples=20)
    assert [each.value for each in summary.accuracies] == pytest.approx(expected)
    assert summary.accuracies[0].half_width == 0
    area = float(normalised_area(found.bers, expected, clean=0.9, chance=0.1))
    assert summary.area.value == pytest.approx(area)
    assert area_weights(found.bers) @ expected == pytest.approx(0.1 + 0.8 * area)


def test_a_network_that_never_fails_tolerates_every_rate_tried() -> None:
    summary = summarise(curve((0.9,) * 4, 0.0), np.random.default_rng(0), resamples=50)
    assert summary.area.value == pytest.approx(1)
    assert summary.half_ber.low == summary.tolerated_ber.low == np.inf


@pytest.mark.parametrize(
    "wrong",
    [
        {"bers": (1e-5, 1e-6)},
        {"bers": (0.0, 0.1)},
        {"bers": (0.5, 1.5)},
        {"clean": 0.1},
        {"trials": (np.array([0.5]),) * 2},
        {"trials": (np.array([0.5, 2.5]),) * 2},
        {"kinds": plain_kinds(3), "trials": (np.array([0.5, 0.6]),) * 3},
        {"trials": (np.array([0.5, np.nan]),) * 2},
    ],
)
def test_wrong_curves_are_refused(wrong: dict[str, object]) -> None:
    right = {"bers": (1e-5, 1e-4), "kinds": plain_kinds(2), "trials": (np.array([0.5, 0.6]),) * 2, "clean": 0.9, "chance": 0.1}
    with pytest.raises(ConfigError):
        Curve(**{**right, **wrong})
