import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from hwnas.pareto import Density, inverse_density_probabilities, sample
from hwnas.pareto.density import FLOOR


def population(n: int, m: int, seed: int = 0) -> np.ndarray:
    return np.exp(np.random.default_rng(seed).normal(size=(n, m)) * np.arange(1, m + 1))


def test_one_objective_is_scipys_gaussian_kde_with_scotts_factor() -> None:
    points = population(40, 1)
    queries = np.linspace(0.1, 5, 30)[:, np.newaxis]
    expected = stats.gaussian_kde(np.log(points[:, 0]), bw_method="scott")(np.log(queries[:, 0]))
    assert np.allclose(Density.fit(points, log=[True]).evaluate(queries), expected, rtol=1e-12)
    expected = stats.gaussian_kde(points[:, 0], bw_method="scott")(queries[:, 0])
    assert np.allclose(Density.fit(points, log=[False]).evaluate(queries), expected, rtol=1e-12)


def test_several_objectives_are_a_product_of_normal_densities() -> None:
    points, queries = population(25, 3), population(7, 3, seed=1)
    transformed, asked = np.log(points), np.log(queries)
    bandwidth = transformed.std(axis=0, ddof=1) * 25 ** (-1 / 7)
    expected = [stats.norm.pdf(query, transformed, bandwidth).prod(axis=1).mean() for query in asked]
    density = Density.fit(points, log=[True] * 3)
    assert np.allclose(density.evaluate(queries), np.maximum(expected, density.floor), rtol=1e-12)
    assert np.allclose(density.evaluate(points), density.fitted, rtol=1e-12)


def test_many_points_that_lie_far_from_zero_and_close_together() -> None:
    points = 1e6 + np.random.default_rng(0).normal(size=(200, 2))
    bandwidth = points.std(axis=0, ddof=1) * 200 ** (-1 / 6)
    expected = [stats.norm.pdf(point, points, bandwidth).prod(axis=1).mean() for point in points]
    assert np.allclose(Density.fit(points, log=[False, False]).fitted, expected, rtol=1e-8)


def test_the_floor_is_a_hundredth_of_the_smallest_density_over_the_population() -> None:
    points = population(30, 2)
    density = Density.fit(points, log=[True, False])
    assert density.evaluate([[1e30, 1e30]])[0] == FLOOR * density.evaluate(points).min()
    assert FLOOR == 0.01


def test_an_objective_without_a_spread_changes_nothing() -> None:
    points, queries = population(20, 2), population(5, 2, seed=1)
    with_constant = np.insert(points, 1, 0.1 * 3, axis=1)
    with_constant[::2, 1] = 0.3  # 0.1 * 3 differs from 0.3 by rounding
    density = Density.fit(with_constant, log=[True, True, False])
    expected = Density.fit(points, log=[True, False]).evaluate(queries)
    assert np.array_equal(density.evaluate(np.insert(queries, 1, 99.0, axis=1)), expected)


def test_collinear_objectives_are_no_trouble() -> None:
    points = population(20, 1) * np.array([1.0, 10.0])
    assert np.isfinite(Density.fit(points, log=[True, True]).evaluate(points)).all()


@pytest.mark.parametrize("points", [np.empty((0, 2)), population(2, 2), np.ones((10, 2))])
def test_too_few_points_or_none_that_differ_give_a_uniform_density(points: np.ndarray) -> None:
    queries = population(6, 2, seed=1)
    density = Density.fit(points, log=[True, False])
    assert np.allclose(inverse_density_probabilities(density.evaluate(queries)), 1 / 6)


def test_zeros_of_a_logarithmic_objective_count_as_the_smallest_positive_value() -> None:
    points = population(10, 1)
    zeroed = np.where(points == points.min(), 0.0, points)
    smallest = zeroed[zeroed > 0].min()
    density = Density.fit(zeroed, log=[True])
    assert np.array_equal(density.fitted, Density.fit(np.where(zeroed > 0, zeroed, smallest), log=[True]).fitted)
    assert density.evaluate([[0.0]]) == density.evaluate([[smallest]])
    assert Density.fit(np.zeros((5, 1)), log=[True]).evaluate([[0.0]]) == 1.0


@settings(deadline=None)
@given(factor=st.floats(0.01, 100), seed=st.integers(0, 5))
def test_probabilities_do_not_depend_on_units(factor: float, seed: int) -> None:
    points = population(12, 2, seed)

    def probabilities(scaled: np.ndarray) -> np.ndarray:
        return inverse_density_probabilities(Density.fit(scaled, log=[True, False]).evaluate(scaled))

    assert np.allclose(probabilities(points), probabilities(points * factor), rtol=1e-6)


def test_probabilities_are_inverse_to_the_density() -> None:
    assert np.allclose(inverse_density_probabilities([1.0, 2.0, 4.0]), np.array([4, 2, 1]) / 7)
    assert np.allclose(inverse_density_probabilities([5e-324, 1.0]), [1, 0])
    for bad in ([], [0.0, 1.0], [np.nan], [[1.0]]):
        with pytest.raises(ValueError, match="positive density"):
            inverse_density_probabilities(bad)


def test_draws_follow_their_probabilities() -> None:
    drawn = sample([0.7, 0.2, 0.1], 20_000, replace=True, rng=np.random.default_rng(0))
    assert stats.chisquare(np.bincount(drawn), 20_000 * np.array([0.7, 0.2, 0.1])).pvalue > 0.01
    assert np.array_equal(drawn, sample([0.7, 0.2, 0.1], 20_000, replace=True, rng=np.random.default_rng(0)))


def test_without_replacement_the_rest_shares_what_is_left() -> None:
    rng = np.random.default_rng(0)
    pairs = [tuple(sample([0.7, 0.2, 0.1], 2, replace=False, rng=rng)) for _ in range(4000)]
    # P(first 0, then 1) = 0.7 * 0.2 / 0.3
    assert abs(pairs.count((0, 1)) / 4000 - 0.7 * 2 / 3) < 0.03
    assert sorted(sample([0.5, 0.25, 0.25], 9, replace=False, rng=rng)) == [0, 1, 2]


def test_what_has_no_density_is_refused() -> None:
    with pytest.raises(ValueError, match="one log flag for each of 2"):
        Density.fit(population(5, 2), log=[True])
    with pytest.raises(ValueError, match=r"must be >= 0, got -1\.0"):
        Density.fit([[-1.0]], log=[True])
    with pytest.raises(ValueError, match="fitted to 2 objectives, got points of 3"):
        Density.fit(population(5, 2), log=[True, True]).evaluate(population(5, 3))
    with pytest.raises(ValueError, match="finite"):
        Density.fit([[np.nan]], log=[False])
