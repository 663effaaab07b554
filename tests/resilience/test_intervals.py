import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from hwnas.errors import ConfigError
from hwnas.resilience import leveugle_sample_size, mean, stratified_mean, stratified_share, stratum_moments, wilson
from hwnas.resilience.intervals import cautious, unseen_share

RNG = np.random.default_rng(0)


def test_moments_are_numpys_own() -> None:
    values, strata = RNG.gamma(1, size=60), np.repeat([0, 2, 1], 20)
    moments = stratum_moments(values, strata, [100, 200, 300])
    for number in range(3):
        part = values[strata == number]
        assert moments.means[number] == pytest.approx(part.mean())
        assert moments.variances[number] == pytest.approx(part.var(ddof=1))
        assert moments.cubes[number] == pytest.approx(stats.moment(part, 3))


def test_a_symmetric_sample_has_students_interval() -> None:
    half = RNG.normal(size=12)
    values = np.concatenate([3 + half, 3 - half])
    estimate = mean(values)
    student = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert (estimate.low, estimate.high) == pytest.approx((student.low, student.high))
    assert estimate.dof == pytest.approx(23)


def test_skew_moves_the_interval_towards_the_long_tail_only() -> None:
    values = RNG.exponential(size=30)
    estimate, student = mean(values), stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert estimate.low == pytest.approx(student.low)
    assert estimate.high > student.high
    mirrored = mean(-values)
    assert (mirrored.low, mirrored.high) == pytest.approx((-estimate.high, -estimate.low))


def test_two_strata_have_welchs_degrees_of_freedom() -> None:
    first, second = RNG.normal(0, 1, 9), RNG.normal(0, 5, 17)
    moments = stratum_moments(np.concatenate([first, second]), np.repeat([0, 1], [9, 17]), [10**12, 10**12])
    estimate = stratified_mean(moments)
    welch = stats.ttest_ind(first, second, equal_var=False)
    assert estimate.dof == pytest.approx(welch.df)
    assert estimate.value == pytest.approx((first.mean() + second.mean()) / 2)
    assert estimate.standard_error == pytest.approx(math.sqrt(first.var(ddof=1) / 9 + second.var(ddof=1) / 17) / 2)


def test_scaling_is_that_of_the_values() -> None:
    values = RNG.exponential(size=20)
    scaled, again = mean(values).scaled(32e6), mean(values * 32e6)
    assert (scaled.low, scaled.high, scaled.standard_error) == pytest.approx((again.low, again.high, again.standard_error))


def test_what_was_drawn_in_full_adds_no_error() -> None:
    values = RNG.normal(size=30)
    part = stratified_mean(stratum_moments(values, np.repeat([0, 1], 15), [15, 1000]))
    only = stratified_mean(stratum_moments(values[15:], np.zeros(15, int), [1000]))
    assert part.standard_error == pytest.approx(only.standard_error * 1000 / 1015)
    assert stratified_mean(stratum_moments(values, np.repeat([0, 1], 15), [15, 15])).half_width == 0


@given(st.integers(1, 400), st.data())
@settings(deadline=None, derandomize=True)
def test_wilson_is_scipys(n: int, data: st.DataObject) -> None:
    yes = data.draw(st.integers(0, n))
    expected = stats.binomtest(yes, n).proportion_ci(method="wilson")
    assert wilson(yes / n, n) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_a_share_of_one_stratum_is_plain_wilson() -> None:
    answers = np.repeat([1, 0], [7, 33])
    share = stratified_share(stratum_moments(answers, np.zeros(40, int), [10**15]))
    # the unbiased variance of n answers is that of n - 1 in Wilson's terms
    assert (share.low, share.high) == pytest.approx(wilson(7 / 40, 39))


def test_nothing_seen_gives_a_one_sided_bound_as_exact_as_the_rule_of_three() -> None:
    share = stratified_share(stratum_moments(np.zeros(300), np.zeros(300, int), [10**9]))
    exact = stats.binomtest(0, 300, alternative="less").proportion_ci(0.95).high
    assert share.low == share.value == 0
    assert exact <= share.high <= 1.01 * exact
    ones = stratified_share(stratum_moments(np.ones(300), np.zeros(300, int), [10**9]))
    assert (ones.low, ones.high) == pytest.approx((1 - share.high, 1))
    assert stratified_share(stratum_moments(np.zeros(30), np.zeros(30, int), [30])).high == 0


def test_the_unseen_share_is_the_worst_over_all_ways_to_hide() -> None:
    moments = stratum_moments(np.zeros(90), np.repeat([0, 1], [30, 60]), [1000, 9000])
    bound = unseen_share(moments)
    for first in np.linspace(0, 0.2, 50):
        for second in np.linspace(0, 0.2, 50):
            if (1 - first) ** 30 * (1 - second) ** 60 >= 0.05:
                assert 0.1 * first + 0.9 * second <= bound


@given(st.lists(st.floats(-50, 50), min_size=3, max_size=12), st.floats(-60, 0), st.floats(0, 60))
@settings(deadline=None, derandomize=True)
def test_caution_never_narrows_and_is_shared_by_a_group(values: list[float], low: float, high: float) -> None:
    count = len(values)
    moments = stratum_moments(values * 2, np.repeat([0, 1], count), [100, 300])
    careful = cautious(moments, np.zeros(2, int), np.array([low]), np.array([high]))
    assert (careful.variances >= moments.variances).all()
    added = careful.variances - moments.variances
    assert added[1] == pytest.approx(3 * added[0], abs=1e-6)


def test_leveugles_published_sizes() -> None:
    # Leveugle et al. 2009: e = 1 %, 95 %, p = 0.5 tends to 9604 for large populations; e = 5 % to 385
    assert leveugle_sample_size(10**12, margin=0.01) == 9604
    assert leveugle_sample_size(10**12, margin=0.05) == 385
    assert leveugle_sample_size(100, margin=0.01) == 99
    assert leveugle_sample_size(1, margin=0.5) == 1


def test_wrong_requests_are_refused() -> None:
    with pytest.raises(ConfigError, match="not finite"):
        stratum_moments([np.inf], [0], [10])
    with pytest.raises(ConfigError, match="infinite size"):
        stratum_moments([1.0, 2.0], [0, 1], [np.inf, 10])
    with pytest.raises(ConfigError, match="two or more"):
        stratified_mean(stratum_moments([1.0, 2.0, 3.0], [0, 0, 1], [10, 10]))
    with pytest.raises(ConfigError, match="margin"):
        leveugle_sample_size(100, margin=1.0)
