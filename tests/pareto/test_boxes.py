import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwnas.pareto import Resolution, boxes

POSITIVE = st.floats(1e-9, 1e9)


def test_absolute_boxes_are_floors_and_size_zero_is_the_value() -> None:
    grid = boxes([[0.019, 7.5, -0.3], [0.021, 7.4, 0.3]], [Resolution(size=0.02), Resolution(), Resolution(size=0.25)])
    assert grid.tolist() == [[0, 7.5, -2], [1, 7.4, 1]]


@given(value=POSITIVE, size=st.floats(0.01, 2.0))
def test_a_relative_box_spans_its_fraction(value: float, size: float) -> None:
    index = boxes([[value]], [Resolution(size=size, relative=True)])[0, 0]
    low = (1 + size) ** index
    assert low * (1 - 1e-9) <= value <= low * (1 + size) * (1 + 1e-9)


@given(
    low=POSITIVE,
    gap=st.floats(0, 1e3),
    resolution=st.builds(Resolution, size=st.sampled_from([0.0, 0.01, 0.3]), relative=st.booleans()),
)
def test_a_larger_value_never_has_a_smaller_box(low: float, gap: float, resolution: Resolution) -> None:
    grid = boxes([[low], [low + gap], [math.nextafter(low, math.inf)]], [resolution])[:, 0]
    assert grid[0] <= grid[1]
    assert grid[0] <= grid[2]


@given(values=st.lists(POSITIVE, min_size=1, max_size=20))
def test_the_box_of_a_value_does_not_depend_on_its_neighbours(values: list[float]) -> None:
    resolutions = [Resolution(size=0.1, relative=True)]
    alone = [boxes([[value]], resolutions)[0, 0] for value in values]
    assert boxes(np.array(values)[:, np.newaxis], resolutions)[:, 0].tolist() == alone


def test_zero_has_a_relative_box_below_all_others() -> None:
    grid = boxes([[0.0], [5e-324]], [Resolution(size=0.25, relative=True)])
    assert grid[0, 0] < grid[1, 0]
    assert np.isfinite(grid).all()


def test_what_has_no_box_is_refused() -> None:
    with pytest.raises(ValueError, match=r">= 0, got -1\.0"):
        boxes([[-1.0]], [Resolution(size=0.1, relative=True)])
    with pytest.raises(ValueError, match="one resolution for each of 2"):
        boxes([[1.0, 2.0]], [Resolution()])
    for size in (-0.1, math.nan, math.inf):
        with pytest.raises(ValueError, match="resolution must be"):
            Resolution(size=size)
