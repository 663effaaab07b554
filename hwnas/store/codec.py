"""Candidates, outcomes and free-form values as JSON and back; what comes from disk is checked before it is believed."""

import json
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError

from hwnas.candidate import Outcome, Step
from hwnas.errors import GraphError, MorphismError, StoreError
from hwnas.graph import from_json as graph_from_json
from hwnas.graph import to_json as graph_to_json
from hwnas.morphism.inheritance import from_json as plan_from_json
from hwnas.morphism.inheritance import to_json as plan_to_json

_outcome = TypeAdapter(Outcome)
_values = TypeAdapter(dict[str, float])


def json_text(value: object, where: str) -> str:
    """A free-form value as JSON. Raises StoreError naming ``where`` for NaN, infinity and what JSON cannot hold."""
    try:
        return json.dumps(value, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError) as error:
        raise StoreError(f"{where} must be what JSON can hold, all numbers finite: {error}") from None


def json_value(text: str, where: str, kind: Any = Any) -> Any:
    """The value that ``json_text`` wrote, as a ``kind`` that pydantic knows. Raises StoreError naming ``where`` it is damaged."""
    try:
        value = json.loads(text)
        return value if kind is Any else TypeAdapter(kind).validate_python(value)
    except json.JSONDecodeError as error:
        raise StoreError(f"{where} is damaged: {error}") from None
    except ValidationError as error:
        raise StoreError(f"{where} is damaged: {error.errors()[0]['msg']}") from None


class Fields(dict[str, Any]):
    """A stored object with named fields, which raises StoreError naming ``where`` one is missing."""

    def __init__(self, text: str, where: str) -> None:
        fields = json_value(text, where)
        if not isinstance(fields, dict):
            raise StoreError(f"{where} is damaged: expected named fields, got {text!r}")
        super().__init__(fields)
        self._where = where

    def __missing__(self, name: str) -> Any:
        raise StoreError(f"{self._where} is damaged: it has no {name}")


def values_from_json(text: str, where: str) -> dict[str, float]:
    """Named numbers that ``json_text`` wrote."""
    try:
        return _values.validate_json(text)
    except ValidationError as error:
        raise StoreError(f"{where} are damaged: {error}") from None


def outcome_to_json(outcome: Outcome) -> str:
    """An outcome as JSON. Raises StoreError where it holds what could not be read back."""
    try:
        text = _outcome.dump_json(outcome, warnings="error").decode()
    except PydanticSerializationError as error:
        raise StoreError(f"the outcome of {outcome.candidate_id} cannot be stored: {error}") from None
    outcome_from_json(text, outcome.candidate_id)
    return text


def outcome_from_json(text: str, candidate_id: str) -> Outcome:
    """The outcome that ``outcome_to_json`` wrote, of this candidate."""
    try:
        outcome = _outcome.validate_json(text)
    except (ValidationError, StoreError) as error:
        raise StoreError(f"the stored outcome of {candidate_id} is damaged: {error}") from None
    if outcome.candidate_id != candidate_id:
        raise StoreError(f"the stored outcome of {candidate_id} is damaged: it is that of {outcome.candidate_id}")
    return outcome


def steps_to_json(steps: tuple[Step, ...]) -> str:
    """The steps from a parent to its child: a list of objects with ``operator``, ``graph`` and ``inheritance``."""
    parts = (
        f'{{"operator":{json.dumps(step.operator)},"graph":{graph_to_json(step.graph)},'
        f'"inheritance":{plan_to_json(step.inheritance)}}}'
        for step in steps
    )
    return f"[{','.join(parts)}]"


def steps_from_json(text: str, candidate_id: str) -> tuple[Step, ...]:
    """The steps that ``steps_to_json`` wrote. Raises StoreError naming the candidate where they are damaged."""
    try:
        return tuple(_step(entry) for entry in json.loads(text))
    except (KeyError, TypeError, json.JSONDecodeError, GraphError, MorphismError) as error:
        raise StoreError(f"the stored steps of {candidate_id} are damaged: {error!r}") from None


def _step(entry: dict[str, Any]) -> Step:
    return Step(
        operator=str(entry["operator"]),
        graph=graph_from_json(json.dumps(entry["graph"])),
        inheritance=plan_from_json(json.dumps(entry["inheritance"])),
    )
