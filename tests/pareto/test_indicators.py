import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hwnas.pareto import Bounds, hypervolume, hypervolume_contributions, normalise

UNIT = Bounds(low=0, high=1)
DIGITS = [Bounds(low=0, high=0.5), Bounds(low=2, high=5.3, log10=True), Bounds(low=-2.3, high=0.3, log10=True)]
# Thousandths: moocore takes points hardly apart (1e-9 was seen) for one.
SETS = st.tuples(st.integers(1, 6), st.integers(2, 4)).flatmap(
    lambda shape: arrays(np.int64, shape, elements=st.integers(-250, 1250)).map(lambda points: points / 1000)
)


def brute_hypervolume(points: np.ndarray) -> float:
    """Inclusion and exclusion over all subsets of the boxes from each point to (1, ..., 1)."""
    edges = 1 - np.clip(points, 0, 1)
    subsets = (np.flatnonzero([code >> bit & 1 for bit in range(len(edges))]) for code in range(1, 2 ** len(edges)))
    return sum((-1) ** (len(subset) + 1) * edges[subset].min(axis=0).prod() for subset in subsets)


@settings(deadline=None)
@given(points=SETS)
def test_hypervolume_and_contributions_are_those_of_inclusion_and_exclusion(points: np.ndarray) -> None:
    bounds = [UNIT] * points.shape[1]
    assert math.isclose(hypervolume(points, bounds), brute_hypervolume(points), abs_tol=1e-12)
    # Equal points share one box: among distinct, mutually non-dominated points the contribution is the difference.
    whole = brute_hypervolume(points)
    for index, contribution in enumerate(hypervolume_contributions(points, bounds)):
        rest = np.delete(points, index, axis=0)
        difference = whole - (brute_hypervolume(rest) if len(rest) else 0.0)
        assert contribution >= difference - 1e-12
        assert contribution <= whole + 1e-12


@pytest.mark.parametrize("n", [1, 2, 5, 50])
def test_a_staircase_has_the_area_of_its_steps(n: int) -> None:
    steps = np.arange(n) / n
    points = np.stack((steps, 1 - steps - 1 / n), axis=1)
    assert math.isclose(hypervolume(points, [UNIT] * 2), (n + 1) / (2 * n))
    assert np.allclose(hypervolume_contributions(points, [UNIT] * 2), 1 / n**2)


def test_one_point_has_the_volume_of_its_box_in_logarithmic_bounds() -> None:
    point = [[0.1, 1000.0, 0.1]]
    expected = (0.4 / 0.5) * (2.3 / 3.3) * (1.3 / 2.6)
    assert math.isclose(hypervolume(point, DIGITS), expected)
    assert np.allclose(hypervolume_contributions(point, DIGITS), expected)


def test_beyond_the_reference_counts_for_nothing_and_beyond_the_ideal_counts_as_the_ideal() -> None:
    assert hypervolume([[0.6, 100.0, 0.01], [0.5, 100.0, 0.01], [0.0, 300_000.0, 0.01]], DIGITS) == 0
    assert math.isclose(hypervolume([[0.0, 1.0, 0.0]], DIGITS), 1.0)
    assert np.array_equal(normalise([[0.75, 0.0, 0.0]], DIGITS), [[1.5, 0.0, 0.0]])


def test_dominated_and_doubled_points_contribute_nothing() -> None:
    points = [[0.5, 0.5], [0.5, 0.5], [0.2, 0.8], [0.9, 0.9]]
    assert np.allclose(hypervolume_contributions(points, [UNIT] * 2), [0, 0, 0.3 * 0.2, 0])


def test_no_points_dominate_nothing() -> None:
    assert hypervolume(np.empty((0, 3)), DIGITS) == 0
    assert hypervolume_contributions(np.empty((0, 3)), DIGITS).shape == (0,)


def test_what_has_no_volume_is_refused() -> None:
    with pytest.raises(ValueError, match="finite"):
        hypervolume([[0.1, math.nan, 1.0]], DIGITS)
    with pytest.raises(ValueError, match="need values >= 0"):
        hypervolume([[0.1, -1.0, 1.0]], DIGITS)
    with pytest.raises(ValueError, match="bounds for each of 2 objectives, got 3"):
        hypervolume([[0.1, 1.0]], DIGITS)
    for low, high in [(1, 1), (2, 1), (0, math.inf), (math.nan, 1)]:
        with pytest.raises(ValueError, match="low < high"):
            Bounds(low=low, high=high)
