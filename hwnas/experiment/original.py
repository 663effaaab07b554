"""The network that a user brought, as the teacher of the networks that descend from it."""

from collections.abc import Mapping

from hwnas.candidate import Candidate, Outcome
from hwnas.store import Row, RunStore


def original_of(store: RunStore, candidate_id: str) -> Candidate | None:
    """The network that was brought and that a candidate descends from; None where its line begins with one of the space."""
    candidate = store.candidate(candidate_id)
    while candidate.parent is not None:
        candidate = store.candidate(candidate.parent)
    return candidate if candidate.is_brought else None


def teaching_original(store: RunStore, candidate_id: str, outcomes: Mapping[str, Outcome]) -> Candidate | None:
    """The original of a candidate where it errs less than it, or as often, and its weights are there; None elsewhere."""
    original = original_of(store, candidate_id)
    if original is None or original.id == candidate_id:
        return None
    its, own = outcomes.get(original.id), outcomes.get(candidate_id)
    if its is None or own is None or its.weights is None or "error" not in its.values:
        return None
    return original if its.values["error"] <= own.values["error"] and store.has_weights(its.weights) else None


def teaching_row(store: RunStore, row: Row, rows: Mapping[str, Row]) -> Row | None:
    """As ``teaching_original``, of stored rows."""
    outcomes = {name: each.outcome for name, each in rows.items() if each.outcome is not None}
    original = teaching_original(store, row.id, outcomes)
    return None if original is None else rows[original.id]
