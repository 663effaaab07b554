"""Between the columns of the tables and the values of `records`."""

import json
from collections.abc import Mapping
from typing import Any

from hwnas.candidate import Candidate, Outcome
from hwnas.errors import StoreError
from hwnas.store.codec import json_text, json_value, outcome_from_json, steps_to_json, values_from_json
from hwnas.store.records import Event, Measurement, Row

CANDIDATE = (
    "INSERT INTO candidates (sequence, created_at, id, generation, slot, operator, exact, architecture_id, cheap, training, "
    "genotype, steps) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
ROWS = """
SELECT id, generation, slot, operator, exact, architecture_id, cheap, training, genotype, candidates.sequence, created_at, steps,
       (SELECT json_group_array(parent) FROM (SELECT parent FROM parents WHERE child = id ORDER BY place)),
       outcomes.sequence, finished_at, record, outcomes.status, outcomes.weights
FROM candidates LEFT JOIN outcomes ON candidate_id = id
"""


def candidate_columns(candidate: Candidate) -> tuple[object, ...]:
    """The values of CANDIDATE behind the sequence and the time."""
    cheap = json_text({name: float(value) for name, value in candidate.cheap.items()}, f"cheap values of {candidate.id}")
    settings = {name: value if isinstance(value, str) else float(value) for name, value in candidate.training.items()}
    training = json_text(settings, f"training settings of {candidate.id}")
    return (
        candidate.id,
        candidate.generation,
        candidate.slot,
        candidate.operator,
        candidate.exact,
        candidate.architecture_id,
        cheap,
        training,
        candidate.genotype,
        steps_to_json(candidate.steps),
    )


def row_of(columns: tuple[Any, ...], final: Mapping[str, float]) -> Row:
    """The row in one result of ROWS, with the candidate's final values."""
    candidate_id, record, status, weights = columns[0], *columns[15:18]
    return Row(
        id=candidate_id,
        generation=columns[1],
        slot=columns[2],
        operator=columns[3],
        exact=bool(columns[4]),
        architecture_id=columns[5],
        cheap=values_from_json(columns[6], f"cheap values of {candidate_id}"),
        training=json_value(columns[7], f"training settings of {candidate_id}", dict[str, float | str]),
        genotype=columns[8],
        sequence=columns[9],
        created_at=columns[10],
        steps=columns[11],
        parents=tuple(json.loads(columns[12])),  # SQLite's own JSON
        outcome=None if record is None else outcome_of(candidate_id, record, status, weights),
        finished=columns[13],
        finished_at=columns[14],
        final=final,
    )


def outcome_of(candidate_id: str, record: str, status: str, weights: str | None) -> Outcome:
    """The outcome in one row of its table. Raises StoreError where it is damaged, or its columns say otherwise."""
    outcome = outcome_from_json(record, candidate_id)
    if (outcome.status, outcome.weights) != (status, weights):
        raise StoreError(
            f"the stored outcome of {candidate_id} is damaged: its record says {outcome.status} with weights {outcome.weights}, "
            "and its columns something else; restore the run from a backup"
        )
    return outcome


def event_of(columns: tuple[Any, ...], payload: Any) -> Event:
    """The event in one row of its table, with its payload as this kind."""
    sequence, kind, generation, text, at = columns
    found = json_value(text, f"event {sequence}", payload)
    return Event(sequence=sequence, kind=kind, generation=generation, payload=found, at=at)


def measurement_of(columns: tuple[Any, ...], latency: Any) -> Measurement:
    """The measurement in one row of its table, with its latency as this kind."""
    return Measurement(
        sequence=columns[0],
        architecture_id=columns[1],
        kind=columns[2],
        fingerprint_sha256=columns[3],
        profile_sha256=columns[4],
        latency=json_value(columns[5], f"measurement {columns[0]}", latency),
        measured_at=columns[6],
    )
