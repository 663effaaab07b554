"""How well a run's latencies were predicted before they were measured."""

from typing import Any

from hwnas.report.table import percent
from hwnas.store import RunStore


def predictor_error(store: RunStore) -> str | None:
    """The predictor's errors on the run's device in words; None where nothing was predicted there, or by an older version.

    The median absolute error relative to what was measured, and Spearman's rank correlation, both out of sample.
    """
    event = store.last_event("predictor")
    if event is None or "so_far" not in event.payload:  # what an older version kept is not pooled
        return None
    if event.payload.get("fingerprint_sha256") != store.meta("device_fingerprint_sha256"):  # measured anew on another since
        return None
    found: Any = event.payload["so_far"]
    median = percent(found["median_error"]) or "unknown"
    rank = "unknown" if found["spearman"] is None else f"{found['spearman']:.2f}"
    return f"median absolute error {median}, Spearman {rank}, out of sample, on {found['networks']} networks"
