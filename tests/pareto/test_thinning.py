"""A few points that stand for a front."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwnas.pareto.thinning import knee, thinned


def test_the_knee_of_a_bent_front_is_where_it_bends() -> None:
    error = [0.50, 0.10, 0.09, 0.08, 0.07]
    parameters = [10.0, 400.0, 1000.0, 10_000.0, 100_000.0]
    points = np.column_stack([error, parameters])
    assert knee(points, log=[False, True]) == 1
    assert knee(points[:, ::-1], log=[True, False]) == 1
    others = np.column_stack([points, points[:, 1], points[:, 1]])  # three that say the same weigh as much as one
    assert knee(others, log=[False, True, True, True]) == 1
    assert knee(points[:1], log=[False, True]) == 0


def test_of_equal_sums_the_more_even_point_is_the_knee() -> None:
    assert knee([[0.0, 1.0], [0.5, 0.5], [1.0, 0.0]], log=[False, False]) == 1


@given(st.integers(13, 60), st.integers(0, 2**32 - 1))
def test_what_stands_for_a_front_has_its_ends_and_leaves_no_gap_wider_than_it_must(count: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = np.sort(rng.random(count))
    points = np.column_stack([x, 1 - x])
    kept = thinned(points, 12, log=[False, False], among=[count // 2])
    assert len(set(kept)) == 12
    assert kept == sorted(kept)
    assert {0, count // 2, count - 1} <= set(kept)
    given = {0, count // 2, count - 1}
    gap = max(min(abs(x[index] - x[other]) for other in kept) for index in range(count))
    apart = min(abs(x[one] - x[other]) for one in kept for other in kept if one != other and not {one, other} <= given)
    assert gap <= apart * (1 + 1e-9)  # Gonzalez: nothing left out is farther from what is taken than these are from each other


def test_points_that_are_alike_are_taken_once_each() -> None:
    assert thinned([[1.0, 1.0]] * 20, 12, log=[False, False]) == list(range(12))
    assert thinned([[1.0, 2.0], [2.0, 1.0]], 12, log=[False, False]) == [0, 1]


def test_what_cannot_be_compared_is_refused() -> None:
    with pytest.raises(ValueError, match="log"):
        knee([[1.0, 2.0]], log=[False])
