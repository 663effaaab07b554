"""A search with operators that raise, or whose plans cannot be carried out, ends as it would without them."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from hwnas.experiment import start
from hwnas.store import RunStore
from tests.experiment.conftest import rows, tiny
from tests.toy_operators import WIDEN, BadPlan, RaisesInApply, searching_with

SETTINGS: Mapping[str, Any] = {"lemonade": {"proposals": 12, "accepted": 4, "max_operators": 1}}


@pytest.mark.parametrize("asynchronous", [False, True])
def test_failures_are_outcomes_and_the_log_says_where(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, asynchronous: bool
) -> None:
    caplog.set_level(logging.WARNING, "hwnas")
    with searching_with(WIDEN, RaisesInApply(), BadPlan()):
        ended = start(tiny(asynchronous=asynchronous, **SETTINGS), tmp_path / "run")
    assert "1 generation is done" in ended.reason
    children = [row for row in rows(tmp_path / "run") if row.generation]
    failed = [row.outcome for row in children if row.operator == "bad_plan"]
    assert failed
    assert {outcome.status for outcome in failed if outcome} == {"failed"}
    for outcome in failed:
        assert outcome is not None
        assert outcome.failure is not None
        assert outcome.failure.kind == "work_failed"
        assert "(bad_plan) could not be inherited: KeyError: 'nowhere'" in outcome.failure.message
    assert {row.outcome.status for row in children if row.operator == "widen" and row.outcome} == {"finished"}
    with RunStore.open(tmp_path / "run", write=False) as store:
        counted = [event.payload["failed"] for event in store.events("ask") if "failed" in event.payload]
    assert counted
    assert all(each["raises_in_apply"]["count"] > 0 for each in counted)
    assert all(each["raises_in_apply"]["message"] == "ZeroDivisionError: no channels left" for each in counted)
    warned = [record for record in caplog.records if "raises_in_apply" in record.getMessage()]
    assert len(warned) == 1
    assert "toy_operators.py" in warned[0].getMessage()
    assert any(record.exc_info for record in caplog.records if "bad_plan" in record.getMessage())


def test_a_search_in_which_every_operator_fails_ends_and_says_so(tmp_path: Path) -> None:
    with searching_with(RaisesInApply()):
        ended = start(tiny(), tmp_path / "run")
    assert ended.reason.startswith("no new network was found; operators failed: raises_in_apply (")
    assert "ZeroDivisionError" in ended.reason
