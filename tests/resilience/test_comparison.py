import numpy as np
import pytest
from scipy import stats

from hwnas.resilience import holm, independent_differences, mean, rank_intervals


def test_holm_on_a_worked_example() -> None:
    np.testing.assert_allclose(holm([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02])
    np.testing.assert_allclose(holm([0.5, 0.9]), [1.0, 1.0])
    assert holm([]).shape == (0,)


def test_independent_p_values_are_welchs() -> None:
    rng = np.random.default_rng(1)
    first, second = rng.normal(0, 1, 9), rng.normal(1.5, 4, 25)
    (difference,) = independent_differences([mean(first), mean(second)])
    welch = stats.ttest_ind(first, second, equal_var=False)
    assert difference.p_value == difference.p_holm == pytest.approx(welch.pvalue)
    interval = welch.confidence_interval()
    assert (difference.estimate.low, difference.estimate.high) == pytest.approx((interval.low, interval.high))


def test_equal_networks_rarely_differ_over_all_pairs_together() -> None:
    rng = np.random.default_rng(2)
    tried = [independent_differences([mean(row) for row in rng.normal(size=(5, 12))]) for _ in range(300)]
    assert np.mean([any(d.real for d in differences) for differences in tried]) <= 0.07
    assert np.mean([any(d.p_value < 0.05 for d in differences) for differences in tried]) > 0.15  # without the correction


def test_ranks_are_sure_where_networks_are_far_apart() -> None:
    samples = np.random.default_rng(3).normal([0, 10, 10.1, 20], 1, (500, 4))
    ranks = rank_intervals([0, 10, 10.1, 20], samples)
    assert [(rank.value, rank.low, rank.high) for rank in ranks] == [(1, 1, 1), (2, 2, 3), (3, 2, 3), (4, 4, 4)]


def test_identical_outcomes_and_constant_gaps() -> None:
    one, two = mean([1.0, 1.0]), mean([2.0, 2.0])
    assert independent_differences([one, one])[0].p_value == 1.0
    assert independent_differences([one, two])[0].p_value == 0.0
