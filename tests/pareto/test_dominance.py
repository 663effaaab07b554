import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hwnas.pareto import non_dominated, ranks
from hwnas.pareto.points import as_points

SMALL_INTEGERS = st.integers(0, 4).map(float)  # few values, so that ties and equal points are common
POINTS = st.tuples(st.integers(0, 25), st.integers(1, 6)).flatmap(
    lambda shape: arrays(np.float64, shape, elements=SMALL_INTEGERS)
)


def dominates(a: np.ndarray, b: np.ndarray) -> bool:
    return bool((a <= b).all() and (a < b).any())


def brute_front(points: np.ndarray) -> np.ndarray:
    return np.array([not any(dominates(other, point) for other in points) for point in points], dtype=bool)


@settings(deadline=None)
@given(points=POINTS)
def test_the_mask_is_what_comparing_every_pair_gives(points: np.ndarray) -> None:
    assert np.array_equal(non_dominated(points), brute_front(points))


def test_the_mask_is_right_where_moocore_changes_its_algorithm() -> None:
    points = np.random.default_rng(0).integers(0, 12, size=(700, 4)).astype(float)
    assert np.array_equal(non_dominated(points), brute_front(points))


@settings(deadline=None)
@given(points=POINTS)
def test_ranks_peel_one_front_after_another(points: np.ndarray) -> None:
    expected = np.full(len(points), -1)
    for rank in range(len(points)):
        left = np.flatnonzero(expected < 0)
        expected[left[brute_front(points[left])]] = rank
    assert np.array_equal(ranks(points), expected)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_refused_and_located(bad: float) -> None:
    with pytest.raises(ValueError, match=r"point 1 has .* for objective 0"):
        non_dominated([[0.0, 1.0], [bad, 0.0]])


@pytest.mark.parametrize("shape", [(3,), (3, 0), (2, 2, 2)])
def test_only_a_table_of_points_is_taken(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="shape"):
        as_points(np.zeros(shape))
