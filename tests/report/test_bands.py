"""The most accurate network of each band of an objective."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwnas.api.banding import bands
from hwnas.errors import ConfigError, WorkError
from hwnas.objectives import OBJECTIVES
from tests.cli.test_cli import invoke, refused
from tests.conftest import Made
from tests.report.test_suggestions import BENT, front

SIZE = OBJECTIVES["parameters"]


def test_each_decade_has_its_most_accurate() -> None:
    found = bands(BENT, SIZE, 3)
    assert [band.entry.id for band in found] == ["g0-4", "g0-1", "g0-0"]
    assert [band.title for band in found] == ["up to 1,000", "up to 10,000", "up to 100,000"]


@given(st.lists(st.tuples(st.floats(0.01, 1), st.floats(10, 1e6)), min_size=1, max_size=30), st.integers(1, 50))
def test_more_costs_buy_less_error_and_the_most_accurate_is_there(points: list[tuple[float, float]], count: int) -> None:
    found = bands(front(*points), SIZE, count)
    errors = [band.entry.value("error") for band in found]
    assert errors == sorted(errors, reverse=True)
    assert len(set(errors)) == len(errors) <= count
    assert errors[-1] == min(error for error, _ in points)
    assert all((band.entry.value("parameters") or 0) <= band.high * (1 + 1e-6) for band in found)


@pytest.mark.parametrize("count", [0, -1, 51])
def test_a_count_that_cannot_be(count: int) -> None:
    with pytest.raises(ConfigError, match="bands are from 1 to 50"):
        bands(BENT, SIZE, count)


def test_values_that_are_not_known_cannot_be_banded() -> None:
    with pytest.raises(WorkError, match="bands need the latency of every network"):
        bands(BENT, OBJECTIVES["latency_ms"], 3)


def test_the_command_prints_a_row_for_each_band(tiny_run: Made) -> None:
    result = invoke("pick", tiny_run.folder, "--bands", 4)
    assert result.exit_code == 0, result.output
    assert 1 <= result.stdout.count("up to ") <= 4
    by = invoke("pick", tiny_run.folder, "--bands", 2, "--by", "macs", "--max-parameters", "100k")
    assert by.exit_code == 0, by.output


@pytest.mark.parametrize("options", [["--by", "macs"], ["--bands", 3, "--knee"], ["--bands", 3, "--prefer", "error"]])
def test_what_does_not_go_together_is_refused(tiny_run: Made, options: list[object]) -> None:
    refused(invoke("pick", tiny_run.folder, *options), 2, "--bands")


def test_unknown_objectives_and_counts_are_refused(tiny_run: Made) -> None:
    refused(invoke("pick", tiny_run.folder, "--bands", 3, "--by", "beauty"), 2, "beauty")
    refused(invoke("pick", tiny_run.folder, "--bands", 0), 2, "from 1 to 50")
