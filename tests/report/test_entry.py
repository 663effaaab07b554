"""What users read of a candidate."""

import math
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwnas.candidate import Failure, Outcome, Status
from hwnas.objectives import OBJECTIVES as OBJECTIVES_KNOWN
from hwnas.objectives import objectives_named
from hwnas.report import Entry, as_csv, as_json, as_table, entries, why_of_no_use
from hwnas.report.table import text_of
from hwnas.store import Row

OBJECTIVES = objectives_named(("error", "parameters"))
STANDARD = ("error", "parameters", "latency_ms", "sensitivity", "expected_change", "macs")  # columns of every run


def row(number: int, values: dict[str, float], *, status: Status = "finished", final: dict[str, float] | None = None) -> Row:
    outcome = Outcome(
        candidate_id=f"g0-{number}",
        status=status,
        values=values,
        weights="0" * 64 if status == "finished" else None,
        failure=Failure(kind="diverged", message="the loss is not finite") if status == "failed" else None,
    )
    return Row(
        id=f"g0-{number}", generation=0, slot=number, operator="initial", exact=False,
        architecture_id=f"{number:016x}", cheap={"parameters": 7.0, "latency_ms": 9.0}, sequence=number, created_at=0.0,
        steps="[]", outcome=outcome, final=final or {},
    )  # fmt: skip


@given(st.lists(st.tuples(st.sampled_from([0.0, 0.1, 0.2, 0.5]), st.integers(1, 5)), max_size=12), st.randoms())
def test_the_front_is_what_nothing_dominates_whatever_the_order(points: list[tuple[float, int]], random: object) -> None:
    rows = [row(number, {"error": error, "parameters": float(size)}) for number, (error, size) in enumerate(points)]
    shuffled = list(rows)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    front = {entry.id for entry in entries(shuffled, OBJECTIVES) if entry.on_front}
    best = {point for point in points if not any(a <= point[0] and b <= point[1] and (a, b) != point for a, b in points)}
    assert {points[int(member.removeprefix("g0-"))] for member in front} == best
    assert len(front) == len(best)  # one member a box


@given(st.lists(st.tuples(st.sampled_from([0.0, 0.1, 0.2, 0.5]), st.integers(1, 5)), min_size=1, max_size=12))
def test_what_is_above_the_largest_error_is_on_the_front_only_where_nothing_is_within(points: list[tuple[float, int]]) -> None:
    rows = [row(number, {"error": error, "parameters": float(size)}) for number, (error, size) in enumerate(points)]
    front = [entry.id for entry in entries(rows, objectives_named(("error", "parameters"), max_error=0.1)) if entry.on_front]
    if within := [each for each in rows if each.values["error"] <= 0.1]:
        assert front == [entry.id for entry in entries(within, OBJECTIVES) if entry.on_front]
    else:
        best = min(rows, key=lambda each: (each.values["error"], each.values["parameters"], each.id))
        assert front == [best.id]


def test_a_limit_on_a_trained_value_that_no_network_keeps_is_said_with_the_least() -> None:
    rows = [row(number, {"error": 0.1, "parameters": 5.0, "expected_change": 12.5 + number}) for number in range(3)]
    for maximum, said in ((12.6, None), (0.5, r"within 0\.5 expected change \(--max-expected-change\).* 12\.5;")):
        objectives = [
            replace(each, upper_bound=maximum) if each.name == "expected_change" else each
            for each in objectives_named(("error", "parameters", "expected_change"))
        ]
        found = why_of_no_use(entries(rows, objectives), objectives)
        assert found is None if said is None else re.search(said, found or "")
    assert why_of_no_use([], objectives) is None


def test_the_front_comes_first_best_error_first_and_nothing_is_lost() -> None:
    rows = [
        row(0, {"error": 0.5, "parameters": 10.0}),
        row(1, {}, status="failed"),
        row(2, {"error": 0.1, "parameters": 100.0}),
        row(3, {"error": 0.6, "parameters": 10.0}),
        row(4, {"parameters": 9999.0}, status="infeasible"),
        row(5, {"error": 0.0, "parameters": 1.0, "images": 400.0}, status="stopped_early"),
    ]
    found = entries(rows, OBJECTIVES)
    assert [(entry.id, entry.on_front, entry.status) for entry in found] == [
        ("g0-2", True, "finished"),
        ("g0-0", True, "finished"),
        ("g0-1", False, "failed"),
        ("g0-3", False, "finished"),
        ("g0-4", False, "infeasible"),
        ("g0-5", False, "stopped_early"),
    ]
    stopped = found[-1].to_json()
    assert (stopped["status"], stopped["error"], stopped["images"]) == ("stopped_early", 0.0, 400.0)
    assert entries([], OBJECTIVES) == []
    assert not [entry for entry in entries(rows[1:2], OBJECTIVES) if entry.on_front]


def test_what_was_measured_at_the_end_is_shown_and_what_the_search_saw_is_kept() -> None:
    seen = {"error": 0.1, "parameters": 10.0, "latency_ms": 0.5, "latency_ci_ms": 0.05}
    record = Entry(row=row(0, seen, final={"latency_ms": 0.48, "test_error": 0.12}), on_front=True).to_json()
    assert (record["latency_ms"], record["search_latency_ms"], record["test_error"]) == (0.48, 0.5, 0.12)


def test_a_latency_that_a_model_computed_has_no_interval() -> None:
    for ci_ms, text in ((0.001, "0.0123 ± 0.0010"), (0.0, "0.01234")):
        values = {"error": 0.1, "parameters": 1.0, "latency_ms": 0.012341, "latency_ci_ms": ci_ms}
        assert text_of(Entry(row=row(0, values), on_front=True), OBJECTIVES_KNOWN["latency_ms"]) == text


def test_a_predicted_latency_is_not_given_as_a_latency() -> None:
    record = Entry(row=row(0, {}, status="failed"), on_front=False).to_json()
    assert record["latency_ms"] is None
    assert (record["parameters"], record["error"]) == (7, None)
    assert record["failure"] == "diverged: the loss is not finite"


def test_texts_hold_the_same_values() -> None:
    found = entries([row(0, {"error": 0.125, "parameters": 1234.0}), row(1, {}, status="failed")], OBJECTIVES)
    assert '"error": 0.125' in as_json(found)
    assert "g0-0,0.125" in as_csv(found)
    table = as_table(found)
    cells = {str(column.header): [str(cell) for cell in column.cells] for column in table.columns}
    assert cells["error"] == ["12.50 %", ""]
    assert cells["parameters"] == ["1,234", "7"]
    assert cells["status"] == ["front", "failed"]
    assert "latency ms" not in cells  # nothing was measured
    assert "images" not in cells
    stopped = row(2, {"error": 0.5, "parameters": 1.0, "images": 4000.0}, status="stopped_early")
    again = as_table(entries([row(0, {"error": 0.125, "parameters": 1234.0}), stopped], OBJECTIVES))
    assert {str(column.header): [str(cell) for cell in column.cells] for column in again.columns}["images"] == ["", "4,000"]
    assert as_csv([]) == ""
    assert as_json([]) == "[]"


def test_json_never_holds_nan() -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        as_json([Entry(row=row(0, {"error": 0.1, "parameters": 1.0}, final={"adcr": math.inf}), on_front=True)])


def test_the_runs_own_objectives_are_columns() -> None:
    objectives = objectives_named(("error", "memory_kb", "adcr", "sensitivity_mean"))
    values = {"error": 0.1, "parameters": 7.0, "memory_kb": 1234.56, "adcr": 0.01234, "sensitivity_mean": 3.0}
    found = entries([row(0, values)], objectives)
    cells = {str(column.header): [str(cell) for cell in column.cells] for column in as_table(found, objectives).columns}
    assert (cells["memory kB"], cells["ADCR"], cells["sensitivity, mean"]) == (["1,234.6"], ["0.0123"], ["3"])
    assert not {"memory kB", "ADCR"} & {str(column.header) for column in as_table(found, OBJECTIVES).columns}


@pytest.mark.parametrize("objective", OBJECTIVES_KNOWN)
def test_every_objective_there_is_has_a_column(objective: str) -> None:
    names = tuple(dict.fromkeys(("error", objective, "parameters")))
    found = entries([row(0, {**dict.fromkeys(OBJECTIVES_KNOWN, 0.5), "latency_ci_ms": 0.1})], objectives_named(names))
    with_it, without = as_table(found, objectives_named(names)), as_table(found, objectives_named(("error", "parameters")))
    assert objective in STANDARD or len(with_it.columns) == len(without.columns) + 1
