"""The report of a predictor's error, against small numbers worked by hand."""

import json

import pytest
from pydantic import TypeAdapter

from hwnas.estimate import PredictorReport


def report(predicted: list[float], measured: list[float], of: str = "generation") -> PredictorReport:
    return PredictorReport(of=of, predicted_ms=tuple(predicted), measured_ms=tuple(measured))


def test_the_median_error_is_relative_to_what_was_measured() -> None:
    assert report([1.1, 2.5, 2.0], [1.0, 2.0, 4.0]).median_error == pytest.approx(0.25)


def test_ranks_decide_the_correlation() -> None:
    assert report([1, 5, 100], [1, 2, 3]).spearman == pytest.approx(1.0)
    assert report([3, 2, 1], [1, 2, 3]).spearman == pytest.approx(-1.0)


@pytest.mark.parametrize("values", [([], []), ([1.0, 2.0], [1.0, 2.0]), ([1.0, 1.0, 1.0], [1.0, 2.0, 3.0])])
def test_where_ranks_say_nothing_there_is_no_correlation(values: tuple[list[float], list[float]]) -> None:
    assert report(*values).spearman is None


def test_of_no_networks_there_is_no_error() -> None:
    assert report([], []).median_error is None


def test_generations_pool() -> None:
    pooled = PredictorReport.pooled([report([1.0], [2.0], "leave_one_out"), report([3.0], [3.0]), report([4.0], [4.0])])
    assert pooled == report([1.0, 3.0, 4.0], [2.0, 3.0, 4.0], "leave_one_out+generation")
    assert pooled.median_error == 0.0


def test_it_travels_as_json() -> None:
    first = report([1.0, 2.0, 3.5], [1.0, 2.5, 3.0])
    assert TypeAdapter(PredictorReport).validate_json(json.dumps(first.to_json())) == first
    assert first.to_json()["spearman"] == 1.0
