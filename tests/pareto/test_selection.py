import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hwnas.pareto import Resolution, best_first, boxes, hypervolume, ranks
from hwnas.pareto.indicators import Bounds

EXACT = Resolution()
SETS = st.tuples(st.integers(1, 9), st.integers(2, 4)).flatmap(
    lambda shape: arrays(np.float64, shape, elements=st.integers(0, 6).map(lambda value: value / 2))
)
RESOLUTIONS = st.sampled_from([EXACT, Resolution(size=1.0), Resolution(size=0.5, relative=True)])


def dominates(one: np.ndarray, other: np.ndarray) -> bool:
    return bool((one <= other).all() and (one < other).any())


@settings(deadline=None)
@given(points=SETS, resolution=RESOLUTIONS, log=st.booleans())
def test_a_point_stands_before_all_that_it_dominates(points: np.ndarray, resolution: Resolution, log: bool) -> None:
    m = points.shape[1]
    order = best_first(points, [resolution] * m, log=[log] * m).tolist()
    assert sorted(order) == list(range(len(points)))
    for place, index in enumerate(order):
        assert not any(dominates(points[later], points[index]) for later in order[place:])
    by_rank = ranks(boxes(points, [resolution] * m))[order].tolist()
    assert by_rank == sorted(by_rank)


@settings(deadline=None)
@given(points=SETS, seed=st.integers(0, 99))
def test_the_order_of_the_input_decides_between_equal_points_only(points: np.ndarray, seed: int) -> None:
    m = points.shape[1]
    shuffled = np.random.default_rng(seed).permutation(len(points))
    first = points[best_first(points, [EXACT] * m, log=[False] * m)]
    again = points[shuffled][best_first(points[shuffled], [EXACT] * m, log=[False] * m)]
    assert first.tolist() == again.tolist()


@settings(deadline=None)
@given(points=arrays(np.float64, st.tuples(st.integers(2, 7), st.just(2)), elements=st.floats(0, 1, width=16)))
def test_of_one_rank_the_cheapest_loss_goes_last(points: np.ndarray) -> None:
    order = best_first(points, [EXACT] * 2, log=[False] * 2).tolist()
    low, high = points.min(axis=0), points.max(axis=0)
    bounds = [Bounds(low=a, high=b + (0.1 * (b - a) or 1.0)) for a, b in zip(low.tolist(), high.tolist(), strict=True)]
    rank = ranks(points)
    for number in set(rank.tolist()):
        members = [index for index in order if rank[index] == number]
        while len(members) > 1:
            left = [hypervolume(points[[i for i in members if i != gone]], bounds) for gone in members]
            assert left[-1] == pytest.approx(max(left), abs=1e-12)
            members.pop()


def test_of_two_close_points_one_is_kept() -> None:
    points = [[0.0, 1.0], [0.5, 0.5], [0.51, 0.49], [1.0, 0.0]]
    order = best_first(points, [EXACT] * 2, log=[False] * 2).tolist()
    assert set(order[:3]) in ({0, 1, 3}, {0, 2, 3})


def test_sizes_count_by_their_logarithm() -> None:
    points = [[0.5, 10.0], [0.4, 100.0], [0.3, 1000.0], [0.299, 5000.0], [0.0, 10000.0]]
    assert best_first(points, [EXACT] * 2, log=[False, True]).tolist()[-1] == 3
    assert best_first([[0.0, 0.0], [1.0, 0.0]], [EXACT] * 2, log=[False, True]).tolist() == [0, 1]
    with pytest.raises(ValueError, match="finite"):
        best_first([[np.nan, 1.0]], [EXACT] * 2, log=[False] * 2)
