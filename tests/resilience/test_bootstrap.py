import numpy as np
import pytest
from scipy import stats

from hwnas.errors import ConfigError
from hwnas.resilience import cluster_bootstrap, percentile_interval, resampled_weights


def test_resampled_weights_keep_each_stratum_and_its_unbiased_variance() -> None:
    rng = np.random.default_rng(0)
    strata = np.repeat([0, 1, 2], [3, 8, 1])
    weights = np.repeat([0.2, 0.05, 0.1], [3, 8, 1])
    resampled = resampled_weights(weights, strata, rng, 20000)
    for number in range(3):
        np.testing.assert_allclose(resampled[:, strata == number].sum(axis=1), weights[strata == number].sum())
    values = rng.normal(size=12)
    expected = sum((0.2, 0.05)[h] ** 2 * (3, 8)[h] * values[strata == h].var(ddof=1) for h in (0, 1))
    assert (resampled @ values).var() == pytest.approx(expected, rel=0.05)


def test_one_stratum_agrees_with_scipys_bootstrap() -> None:
    values = np.random.default_rng(1).exponential(size=400)
    ours = cluster_bootstrap(
        lambda weights: weights @ values, np.full(400, 1 / 400), np.zeros(400), np.random.default_rng(2), resamples=5000
    )
    theirs = stats.bootstrap((values,), np.mean, method="percentile", n_resamples=5000, rng=np.random.default_rng(3))
    assert ours.value == pytest.approx(values.mean())
    assert (ours.low, ours.high) == pytest.approx(tuple(theirs.confidence_interval), abs=0.1 * ours.half_width)


def test_images_of_one_fault_are_resampled_together() -> None:
    rng = np.random.default_rng(4)
    changed = np.repeat(rng.random((40, 1)) < 0.3, 100, axis=1)  # 40 faults, whose 100 images all agree
    interval = cluster_bootstrap(lambda w: (w @ changed).mean(axis=1), np.full(40, 1 / 40), np.zeros(40), rng)
    assert interval.standard_error == pytest.approx(np.sqrt(0.3 * 0.7 / 40), rel=0.25)


def test_infinite_samples_are_ends_like_others_and_nan_is_refused() -> None:
    interval = percentile_interval(1.0, [0.0] * 50 + [np.inf] * 50, 10)
    assert (interval.low, interval.high) == (0.0, np.inf)
    with pytest.raises(ConfigError, match="not a number"):
        percentile_interval(1.0, [0.0, np.nan], 10)
