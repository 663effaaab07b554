"""Texts that a damaged or foreign database holds are what was stored, or one StoreError that names whose they are."""

import copy
import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hwnas.errors import StoreError
from hwnas.store.codec import outcome_from_json, outcome_to_json, steps_from_json, steps_to_json, values_from_json
from tests.store.store_samples import child, finished, initial

NUMBERS = st.one_of(st.integers(-(2**70), 2**70), st.floats(), st.integers(-3, 9))
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, st.text(max_size=6)),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=6), inner, max_size=4)),
    max_leaves=8,
)
STEPS: Any = json.loads(steps_to_json(child(initial(0), 1, 0, steps=2).steps))
OUTCOME: Any = json.loads(outcome_to_json(finished("g1-0", b"")))


def places(value: Any, before: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Where a JSON value has parts, itself included."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [before, *(place for name, part in inner for place in places(part, (*before, name)))]


def changed(whole: Any, place: tuple[str | int, ...], part: object) -> Any:
    if not place:
        return part
    made = inner = copy.deepcopy(whole)
    for name in place[:-1]:
        inner = inner[name]
    inner[place[-1]] = part
    return made


@settings(deadline=None, derandomize=True, max_examples=400)
@given(place=st.sampled_from(places(STEPS)), part=JSON)
@example(place=(0, "inheritance"), part=None)
def test_steps_with_one_part_changed_are_read_or_refused(place: tuple[str | int, ...], part: object) -> None:
    with suppress(StoreError):
        steps_from_json(json.dumps(changed(STEPS, place, part)), "g1-0")


@settings(deadline=None, derandomize=True, max_examples=300)
@given(place=st.sampled_from(places(OUTCOME)), part=JSON)
def test_an_outcome_with_one_part_changed_is_read_or_refused(place: tuple[str | int, ...], part: object) -> None:
    with suppress(StoreError):
        outcome_from_json(json.dumps(changed(OUTCOME, place, part)), "g1-0")


@settings(deadline=None, derandomize=True, max_examples=200)
@given(text=st.one_of(st.text(max_size=30), JSON.map(json.dumps)))
def test_any_text_is_read_or_refused_with_its_owner_s_name(text: str) -> None:
    said: list[str] = []
    for read in (steps_from_json, outcome_from_json, values_from_json):
        try:
            read(text, "g1-0")
        except StoreError as error:
            said.append(str(error))
    assert all("g1-0" in each for each in said)


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, "9" * 10_000, '"\\ud800"', "[1e999]"])
def test_texts_that_are_made_to_break_a_reader_are_refused(text: str) -> None:
    for read in (steps_from_json, outcome_from_json, values_from_json):
        with pytest.raises(StoreError, match="g1-0"):
            read(text, "g1-0")
