"""Candidates, outcomes and free-form values as JSON and back; what comes from disk is checked before it is believed."""

import json
from functools import lru_cache
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError

from hwnas.candidate import Outcome, Step
from hwnas.errors import GraphError, HwnasError, MorphismError, StoreError
from hwnas.graph import Graph
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
        return _adapter(kind).validate_python(json.loads(text))
    except ValidationError as error:
        raise StoreError(f"{where} is damaged: {_first(error)}") from None
    except RecursionError:
        raise StoreError(f"{where} is damaged: it is nested too deeply") from None
    except (ValueError, HwnasError) as error:  # ours: what a dataclass says of values that it refuses
        raise StoreError(f"{where} is damaged: {error}") from None


def _first(error: ValidationError) -> str:
    """What is wrong, and where, in one line."""
    first = error.errors()[0]
    return ": ".join([*map(str, first["loc"]), first["msg"]])


@lru_cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    """Made once for each kind: it takes as long as to read hundreds of values with it."""
    return TypeAdapter(kind)


def values_from_json(text: str, where: str) -> dict[str, float]:
    """Named numbers that ``json_text`` wrote."""
    try:
        return _values.validate_json(text)
    except ValidationError as error:
        raise StoreError(f"{where} are damaged: {_first(error)}") from None


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
    except ValidationError as error:
        raise StoreError(f"the stored outcome of {candidate_id} is damaged: {_first(error)}") from None
    except StoreError as error:
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
    except (LookupError, TypeError, ValueError, RecursionError, GraphError, MorphismError) as error:
        raise StoreError(f"the stored steps of {candidate_id} are damaged: {error!r}") from None


def last_graph_from_json(text: str, candidate_id: str) -> Graph:
    """The graph that stored steps lead to, without those before it and without plans. Raises as ``steps_from_json``."""
    try:
        return graph_from_json(json.dumps(json.loads(text)[-1]["graph"]))
    except (LookupError, TypeError, ValueError, RecursionError, GraphError) as error:
        raise StoreError(f"the stored steps of {candidate_id} are damaged: {error!r}") from None


def _step(entry: dict[str, Any]) -> Step:
    return Step(
        operator=str(entry["operator"]),
        graph=graph_from_json(json.dumps(entry["graph"])),
        inheritance=plan_from_json(json.dumps(entry["inheritance"])),
    )
