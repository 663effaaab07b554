"""Values with their intervals as text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwnas.report import with_interval
from hwnas.report.interval import aligned


@pytest.mark.parametrize(
    ("value", "half", "text"),
    [
        (0.0042, 0.00003, "0.00420 ± 0.00003"),
        (0.00627, 0.000097, "0.00627 ± 0.00010"),
        (0.0123, 0.00012, "0.01230 ± 0.00012"),
        (12.34, 0.5, "12.3 ± 0.5"),
        (1234.5, 20.0, "1234 ± 20"),
        (0.0042, 0.0, "0.0042"),
    ],
)
def test_the_interval_decides_how_many_digits_count(value: float, half: float, text: str) -> None:
    assert with_interval(value, half) == text


@given(st.floats(1e-6, 1e4), st.floats(1e-5, 0.5))
def test_no_interval_is_shown_as_nothing_or_far_from_what_it_is(value: float, share: float) -> None:
    shown_value, shown_half = map(float, with_interval(value, share * value).split(" ± "))
    assert shown_half == pytest.approx(share * value, rel=0.26) or shown_half == round(share * value)
    assert abs(shown_value - value) <= max(0.26 * share * value, 0.5 + 1e-9)


def test_points_and_signs_stand_below_each_other() -> None:
    assert aligned(["0.00420 ± 0.00003", "12.3 ± 0.5", "", "7 ± 2"]) == [
        " 0.00420 ± 0.00003",
        "12.3     ± 0.5    ",
        "                  ",
        " 7       ± 2      ",
    ]
    assert aligned(["0.01", "12"]) == [" 0.01   ", "12      "]
