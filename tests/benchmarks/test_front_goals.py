import pytest
from front_goals import (
    Point,
    chosen_test_error,
    dominated_share,
    error_gain_points,
    final_training_pairs,
    least_test_error,
    rank_correlation,
    strict_error_gain_points,
)
from hypothesis import given
from hypothesis import strategies as st

GUESSING = 0.9


def point(test_error: float, latency_ms: float, parameters: float = 1000, validation_error: float | None = None) -> Point:
    return Point(
        name="n",
        validation_error=test_error if validation_error is None else validation_error,
        test_error=test_error,
        parameters=parameters,
        latency_ms=latency_ms,
    )


OTHERS = [point(0.2, 1.0), point(0.1, 2.0), point(0.3, 0.5)]
points = st.builds(point, st.floats(0, 0.9), st.floats(0.1, 10), st.floats(10, 1e6))


def test_equal_in_both_is_dominated_and_gains_nothing() -> None:
    assert dominated_share(OTHERS, OTHERS, "latency_ms") == 1
    assert error_gain_points(OTHERS, OTHERS, "latency_ms", GUESSING) == 0


def test_only_who_is_as_fast_and_as_accurate_at_once_dominates() -> None:
    assert dominated_share(OTHERS, [point(0.2, 1.01), point(0.21, 1.0)], "latency_ms") == 0
    assert dominated_share(OTHERS, [point(0.2, 1.0)], "latency_ms") == pytest.approx(1 / 3)


def test_gains_are_in_points_and_their_median_is_taken() -> None:
    front = [point(0.15, 0.9), point(0.12, 1.5), point(0.34, 0.4)]
    # 5 points at 1 ms, -2 points at 2 ms, -4 points at 0.5 ms
    assert error_gain_points(OTHERS, front, "latency_ms", GUESSING) == pytest.approx(-2)


def test_where_no_member_is_as_fast_the_front_only_guesses() -> None:
    slow = [point(0.01, 100.0)]
    assert error_gain_points(OTHERS, slow, "latency_ms", GUESSING) == pytest.approx(100 * (0.2 - GUESSING))
    assert strict_error_gain_points(OTHERS, slow, "latency_ms", GUESSING) == pytest.approx(100 * (0.2 - GUESSING))
    assert dominated_share(OTHERS, slow, "latency_ms") == 0


def test_parameters_may_stand_for_latency() -> None:
    front = [point(0.1, 100.0, parameters=1000)]
    assert dominated_share(OTHERS, front, "parameters") == 1
    assert dominated_share(OTHERS, [point(0.1, 0.1, parameters=1001)], "parameters") == 0


def test_the_strict_gain_is_that_of_the_member_of_the_least_validation_error() -> None:
    front = [point(0.12, 0.4, validation_error=0.2), point(0.16, 0.4, validation_error=0.1)]
    assert error_gain_points(OTHERS, front, "latency_ms", GUESSING) == pytest.approx(8)
    assert strict_error_gain_points(OTHERS, front, "latency_ms", GUESSING) == pytest.approx(4)


@given(st.lists(points, min_size=1, max_size=6), st.lists(points, max_size=6), points)
def test_one_member_more_never_harms_and_the_strict_gain_is_never_larger(
    others: list[Point], front: list[Point], more: Point
) -> None:
    for axis in ("latency_ms", "parameters"):
        gain = error_gain_points(others, front, axis, GUESSING)
        assert (
            error_gain_points(others, [*front, more], axis, GUESSING)
            >= gain
            >= strict_error_gain_points(others, front, axis, GUESSING)
        )
        share = dominated_share(others, front, axis)
        assert share <= dominated_share(others, [*front, more], axis) <= 1
        assert share < 1 or gain >= 0


def test_errors_by_size() -> None:
    rows = [
        {"parameters": 100, "error": 0.3, "test_error": 0.20},
        {"parameters": 200, "error": 0.1, "test_error": 0.25},
        {"parameters": 300, "error": 0.0, "test_error": 0.05},
    ]
    assert (least_test_error(rows, 200), chosen_test_error(rows, 200)) == (0.20, 0.25)
    assert (least_test_error(rows, 99), chosen_test_error(rows, 99)) == (None, None)


def candidate(name: str, error: float | None, parent: str | None, operator: str) -> dict[str, object]:
    return {"id": name, "error": error, "parent": parent, "operator": operator}


def test_a_network_is_paired_with_what_it_was_trained_from() -> None:
    rows = [
        candidate("a", 0.4, None, "initial"),
        candidate("b", 0.3, "a", "insert_conv"),
        candidate("c", 0.2, "b", "train"),
        candidate("d", None, "a", "train"),  # it failed
    ]
    assert final_training_pairs(rows) == [(0.3, 0.2)]


def test_rank_correlation_needs_three_pairs_that_differ() -> None:
    assert rank_correlation([(1, 2), (2, 3), (3, 9)]).rho == pytest.approx(1)
    assert rank_correlation([(1, 9), (2, 3), (3, 2), (4, 1)]).rho == pytest.approx(-1)
    assert rank_correlation([(1, 2), (2, 3)]).rho is None
    assert rank_correlation([(1, 2), (1, 3), (1, 4)]).rho is None
    assert rank_correlation([]).networks == 0
