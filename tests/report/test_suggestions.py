"""Three networks with names, and a dozen that stand for a front."""

from hypothesis import given
from hypothesis import strategies as st

from hwnas.objectives import objectives_named
from hwnas.report import Entry, as_table, brief_columns, interval_95, knee_of, names_of, suggestions, thinned_front, with_range
from hwnas.report.table import in_words
from hwnas.training.evaluation import wilson_95
from tests.report.test_entry import row

OBJECTIVES = objectives_named(("error", "parameters"))


def front(*points: tuple[float, float]) -> list[Entry]:
    return [
        Entry(row=row(number, {"error": error, "parameters": size}), on_front=True) for number, (error, size) in enumerate(points)
    ]


BENT = front((0.03, 100_000.0), (0.04, 9000.0), (0.06, 4000.0), (0.079, 3000.0), (0.5, 100.0))


def test_small_balanced_and_accurate() -> None:
    found = {each.name: each.entry.id for each in suggestions(BENT, OBJECTIVES)}
    assert found == {"small": "g0-3", "balanced": knee_of(BENT, OBJECTIVES).id, "accurate": "g0-0"}
    assert names_of(suggestions(BENT, OBJECTIVES))["g0-0"] == "accurate"


def test_one_network_is_all_three_and_of_none_there_is_none() -> None:
    only = front((0.1, 10.0))
    assert names_of(suggestions(only, OBJECTIVES)) == {"g0-0": "small, balanced, accurate"}
    assert suggestions([], OBJECTIVES) == ()


@given(st.integers(1, 40))
def test_a_thinned_front_keeps_its_order_and_what_is_suggested(count: int) -> None:
    whole = front(*((0.01 * (number + 1), 1000.0 * 0.7**number) for number in range(count)))
    shown = thinned_front(whole, OBJECTIVES)
    assert len(shown) == min(count, 12)
    assert [entry.id for entry in whole if entry in shown] == [entry.id for entry in shown]
    assert {each.entry.id for each in suggestions(whole, OBJECTIVES)} <= {entry.id for entry in shown}


def test_every_error_has_its_interval_and_experts_columns_are_left_out() -> None:
    values = {
        "error": 5 / 120,
        "error_low": 0.018,
        "error_high": 0.094,
        "parameters": 1234.0,
        "latency_ms": 0.2,
        "sensitivity": 9.0,
    }
    entry = Entry(row=row(0, {**values, "latency_ci_ms": 0.01, "macs": 7.0}), on_front=True)
    objectives = objectives_named(("error", "parameters", "latency_ms"))
    table = as_table([entry], objectives, str, brief_columns([entry], objectives, {"g0-0": "small"}))
    cells = {str(column.header): [str(cell) for cell in column.cells] for column in table.columns}
    assert cells == {
        "id": ["g0-0"],
        "error (95 %)": ["4.2 % (1.8-9.4)"],
        "parameters": ["1,234"],
        "latency ms": ["0.200 ± 0.010"],
        "": ["small"],
    }
    assert in_words(entry, objectives) == "g0-0: 4.2 % (1.8-9.4) error, 1,234 parameters, 0.2 ms"


def test_the_metric_is_named() -> None:
    objectives = objectives_named(("error", "parameters"), 0.5, "balanced_error")
    assert objectives[0].label == "balanced error"
    titles = [str(column.header) for column in as_table(BENT, objectives, str, brief_columns(BENT, objectives)).columns]
    assert titles == ["id", "balanced error (95 %)", "parameters"]
    assert "balanced error, 100,000 parameters" in in_words(BENT[0], objectives)


def test_a_share_has_the_digits_that_its_interval_lets_count() -> None:
    assert with_range(0.0, 0.0, 0.031) == "0.0 % (0.0-3.1)"
    assert with_range(0.01234, 0.0101, 0.0151) == "1.23 % (1.01-1.51)"
    assert with_range(0.5, None, None) == "50.00 %"
    assert with_range(None, None, None) == ""


@given(st.integers(1, 10_000), st.data())
def test_the_interval_is_that_of_the_evaluation(images: int, data: st.DataObject) -> None:
    wrong = data.draw(st.integers(0, images))
    low, high = interval_95(wrong / images, images)
    expected = wilson_95(wrong, images)
    assert abs(low - expected[0]) < 1e-12
    assert abs(high - expected[1]) < 1e-12
