"""How a front of networks compares with other networks: pure functions on points, used by against_textbook.py and two_hours.py.

All definitions are ours. A front is compared by test errors, which selected none of its members. The strict reading beside it
takes, of the members that are small or fast enough, the one of the least *validation* error, as a user would, and then its
test error: the least of many test errors is a little too good.
"""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

from scipy.stats import spearmanr

Axis = Literal["latency_ms", "parameters"]
POINTS = 100  # percentage points in a share of 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A network as it is compared: its errors are shares in [0, 1]."""

    name: str
    validation_error: float
    test_error: float
    parameters: float
    latency_ms: float

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Self:
        """The point of a stored row, which may hold more."""
        return cls(
            name=row["name"],
            validation_error=row["validation_error"],
            test_error=row["test_error"],
            parameters=row["parameters"],
            latency_ms=row["latency_ms"],
        )


def dominated_share(others: Sequence[Point], front: Sequence[Point], axis: Axis) -> float:
    """The share of ``others`` that some member of the front beats or equals in test error and on ``axis`` at once."""
    dominated = [
        any(member.test_error <= other.test_error for member in front if getattr(member, axis) <= getattr(other, axis))
        for other in others
    ]
    return sum(dominated) / len(others)


def error_gain_points(others: Sequence[Point], front: Sequence[Point], axis: Axis, guessing: float) -> float:
    """The median over ``others`` of: its test error minus the front's least at no more than its ``axis``, in points.

    Where no member is as small or fast, the front offers nothing there but guessing: one and the same answer for every image,
    of error ``guessing``, which costs nothing. So such a network counts as a loss of many points.
    """
    gains = []
    for other in others:
        within = [member.test_error for member in front if getattr(member, axis) <= getattr(other, axis)]
        gains.append(other.test_error - min(within, default=guessing))
    return POINTS * statistics.median(gains)


def strict_error_gain_points(others: Sequence[Point], front: Sequence[Point], axis: Axis, guessing: float) -> float:
    """`error_gain_points` with the member that a user would choose: that of the least validation error."""
    gains = []
    for other in others:
        within = [member for member in front if getattr(member, axis) <= getattr(other, axis)]
        chosen = min(within, key=lambda member: member.validation_error, default=None)
        gains.append(other.test_error - (guessing if chosen is None else chosen.test_error))
    return POINTS * statistics.median(gains)


def least_test_error(front: Sequence[Mapping[str, Any]], most_parameters: int) -> float | None:
    """The least test error of the rows with at most so many parameters; None where there is none."""
    return min((row["test_error"] for row in front if row["parameters"] <= most_parameters), default=None)


def chosen_test_error(front: Sequence[Mapping[str, Any]], most_parameters: int) -> float | None:
    """The test error of that row with at most so many parameters whose validation error is least; None where there is none."""
    within = [row for row in front if row["parameters"] <= most_parameters]
    return min(within, key=lambda row: row["error"])["test_error"] if within else None


@dataclass(frozen=True, slots=True, kw_only=True)
class RankCorrelation:
    """Spearman's rank correlation of errors before and after the final training, over ``networks``; None where it has none."""

    rho: float | None
    networks: int


def final_training_pairs(candidates: Sequence[Mapping[str, Any]]) -> list[tuple[float, float]]:
    """The validation errors of each network at the end of the search and after its final training.

    A trained network is a candidate of the operator ``train``, its parent the network that it was trained from.
    """
    errors = {row["id"]: row["error"] for row in candidates if row["error"] is not None}
    return [
        (errors[row["parent"]], errors[row["id"]])
        for row in candidates
        if row["operator"] == "train" and row["id"] in errors and row["parent"] in errors
    ]


def rank_correlation(pairs: Sequence[tuple[float, float]]) -> RankCorrelation:
    """Of at least three pairs whose values are not all alike; else its ``rho`` is None."""
    before, after = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    if len(pairs) < 3 or len(set(before)) == 1 or len(set(after)) == 1:
        return RankCorrelation(rho=None, networks=len(pairs))
    return RankCorrelation(rho=float(spearmanr(before, after).statistic), networks=len(pairs))
