import numpy as np
import pytest
from scipy import stats

from hwnas.errors import ConfigError
from hwnas.resilience import correlate, kendall, partial_spearman, spearman, split_half_reliability

NONE = np.empty((60, 0))


def test_plain_correlations_are_scipys_with_ties() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 8, 60).astype(float), rng.integers(0, 8, 60).astype(float)
    assert spearman(x, y, NONE) == pytest.approx(stats.spearmanr(x, y).statistic)
    assert kendall(x, y, NONE) == pytest.approx(stats.kendalltau(x, y, variant="b").statistic)
    assert np.isnan(spearman(np.ones(60), y, NONE))


def test_partial_correlation_of_one_control_is_the_closed_form() -> None:
    rng = np.random.default_rng(1)
    z = rng.normal(size=60)
    x, y = z + rng.normal(size=60), z + rng.normal(size=60)
    xy, xz, yz = spearman(x, y, NONE), spearman(x, z, NONE), spearman(y, z, NONE)
    expected = (xy - xz * yz) / np.sqrt((1 - xz**2) * (1 - yz**2))
    assert partial_spearman(x, y, z[:, None]) == pytest.approx(expected)
    assert partial_spearman(x, y, NONE) == pytest.approx(xy)
    assert np.isnan(partial_spearman(x, z, np.exp(z)[:, None]))  # a monotone control explains all


def test_the_interval_holds_the_correlation_of_all_networks() -> None:
    rng = np.random.default_rng(2)
    truth = stats.spearmanr(*rng.multivariate_normal([0, 0], [[1, 0.8], [0.8, 1]], 200_000).T).statistic
    held = []
    for _ in range(60):
        x, y = rng.multivariate_normal([0, 0], [[1, 0.8], [0.8, 1]], 50).T
        interval = correlate(spearman, x, y, rng, resamples=200)
        held.append(interval.low <= truth <= interval.high)
    assert np.mean(held) >= 0.88


def test_fault_noise_in_the_target_widens_the_interval_downwards() -> None:
    rng = np.random.default_rng(3)
    x = np.arange(50.0)
    noise = x[:, None] + rng.normal(0, 30, (50, 100))
    calm, noisy = (correlate(spearman, x, x, rng, target_noise=n, resamples=300) for n in (None, noise))
    assert calm.value == noisy.value == pytest.approx(1)
    assert noisy.low < 0.7 < calm.low


def test_a_noisy_target_caps_what_a_perfect_proxy_can_show() -> None:
    rng = np.random.default_rng(4)
    truth = rng.normal(size=(400, 1))
    trials = truth + rng.normal(0, 2, (400, 16))
    reliability = split_half_reliability(trials, rng)
    assert reliability.value == pytest.approx(1 / (1 + 4 / 16), abs=0.04)
    assert reliability.ceiling == pytest.approx(spearman(truth[:, 0], trials.mean(axis=1), NONE), abs=0.04)
    assert split_half_reliability(rng.normal(size=(300, 8)), rng).ceiling < 0.4


def test_wrong_requests_are_refused() -> None:
    rng = np.random.default_rng(5)
    with pytest.raises(ConfigError, match="4 or more"):
        correlate(spearman, [1, 2], [1, 2], rng)
    with pytest.raises(ConfigError, match="finite"):
        correlate(spearman, [1, 2, 3, np.nan], [1, 2, 3, 4], rng)
    with pytest.raises(ConfigError, match="constant"):
        correlate(kendall, [1, 1, 1, 1], [1, 2, 3, 4], rng)
    with pytest.raises(ConfigError, match="trials"):
        split_half_reliability(np.ones((5, 1)), rng)
    with pytest.raises(ConfigError, match="same outcome"):
        split_half_reliability(np.ones((5, 4)), rng)
