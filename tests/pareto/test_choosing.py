import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hwnas.pareto.choosing import choose

# error, parameters: halving the error costs ten times the parameters
FRONT = np.array([[0.16, 100.0], [0.08, 1_000.0], [0.04, 10_000.0], [0.02, 100_000.0]])
WEIGHTS = st.lists(st.sampled_from([0.0, 0.5, 1.0, 3.0]), min_size=3, max_size=3).filter(any)
POINTS = st.integers(1, 12).flatmap(lambda n: arrays(np.float64, (n, 3), elements=st.integers(1, 6).map(float)))


@settings(deadline=None)
@given(points=POINTS, weights=WEIGHTS)
def test_no_point_has_a_better_score_or_dominates_the_choice(points: np.ndarray, weights: list[float]) -> None:
    choice = choose(points, weights=weights, log=[False, True, False])
    scaled = np.stack((points[:, 0], np.log(points[:, 1]), points[:, 2]), axis=1)
    spread = np.where(np.ptp(scaled, axis=0) > 0, np.ptp(scaled, axis=0), 1)
    weighted = (scaled - scaled.min(axis=0)) / spread * np.array(weights) / sum(weights)
    assert np.isclose(choice.score, weighted.max(axis=1).min())
    chosen = points[choice.index]
    assert not ((points <= chosen).all(axis=1) & (points < chosen).any(axis=1)).any()
    assert weighted[choice.index].max() == weighted[choice.index, choice.limiting]


def test_one_weight_alone_takes_that_objectives_best() -> None:
    assert choose(FRONT, weights=[1, 0], log=[True, True]).index == 3
    assert choose(FRONT, weights=[0, 1], log=[True, True]).index == 0


def test_more_weight_on_the_error_walks_towards_small_errors() -> None:
    chosen = [choose(FRONT, weights=[weight, 1], log=[True, True]).index for weight in (0.3, 0.8, 1.3, 5)]
    assert chosen == [0, 1, 2, 3]


def test_the_choice_says_why() -> None:
    choice = choose(FRONT, weights=[2, 1], log=[True, True])
    assert np.allclose(choice.losses, (1 / 3, 2 / 3))
    assert np.allclose(choice.weights, (2 / 3, 1 / 3))
    assert (choice.index, choice.runner_up) == (2, 3)
    assert choice.runner_up_score is not None
    assert choice.score < choice.runner_up_score
    assert choose(FRONT, weights=[2, 0.9], log=[True, True]).limiting == 0


def test_units_and_the_size_of_the_weights_do_not_matter() -> None:
    other_units, index = FRONT * np.array([100.0, 4.0]), choose(FRONT, weights=[3, 1], log=[False, True]).index
    assert choose(other_units, weights=[30, 10], log=[False, True]).index == index
    assert choose(FRONT, weights=[1.5e308, 0.5e308], log=[False, True]).index == index  # their sum is infinite


def test_equal_scores_are_told_apart_by_the_weighted_sum() -> None:
    # Rows 0 and 1 lose 0.5 in the first objective; row 1 loses less in the second, row 0 less in the third.
    points = [[0.5, 0.4, 0.0], [0.5, 0.2, 0.5], [0.0, 1.0, 1.0], [1.0, 0.0, 1.0]]
    assert choose(points, weights=[1, 1, 0.1], log=[False] * 3).index == 1
    assert choose(points, weights=[1, 0.6, 0.8], log=[False] * 3).index == 0
    assert choose([[1.0, 7.0], [1.0, 3.0], [2.0, 1.0]], weights=[1, 0], log=[False, False]).index == 1


def test_a_front_of_one_has_no_runner_up() -> None:
    choice = choose([[0.1, 5.0]], weights=[1, 1], log=[False, True])
    assert (choice.index, choice.score, choice.runner_up, choice.runner_up_score) == (0, 0.0, None, None)


@pytest.mark.parametrize("weights", [[1], [0, 0], [-1, 1], [float("nan"), 1]])
def test_weights_that_mean_nothing_are_refused(weights: list[float]) -> None:
    with pytest.raises(ValueError, match="2 finite weights"):
        choose(FRONT, weights=weights, log=[True, True])


def test_no_points_and_missing_flags_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one point"):
        choose(np.empty((0, 2)), weights=[1, 1], log=[True, True])
    with pytest.raises(ValueError, match="one log flag"):
        choose(FRONT, weights=[1, 1], log=[True])


def test_the_rest_of_the_folder_loads_neither_pymoo_nor_scipy_nor_torch() -> None:
    program = "import sys, hwnas.pareto; print(sorted({'pymoo', 'scipy', 'torch', 'onnx'} & set(sys.modules)))"
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert shown.stdout.strip() == "[]"
