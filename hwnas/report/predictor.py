"""How well a run's latencies and expected changes were predicted before they were known."""

from dataclasses import dataclass

from hwnas.report.table import percent
from hwnas.store import RunStore


@dataclass(frozen=True, slots=True, kw_only=True)
class _SoFar:
    """Both errors of all generations so far; None where they do not exist."""

    networks: int
    median_error: float | None
    spearman: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Predictor:
    """What is read of an event ``predictor``; what an older version kept is not pooled."""

    fingerprint_sha256: str | None = None
    so_far: _SoFar | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _ChangePredictor:
    """What is read of an event ``change_predictor``."""

    so_far: _SoFar


def change_predictor_error(store: RunStore) -> str | None:
    """The errors of the predicted expected change in words; None where none was predicted."""
    event = store.last_event("change_predictor", _ChangePredictor)
    return None if event is None else _in_words(event.payload.so_far)


def predictor_error(store: RunStore) -> str | None:
    """The predictor's errors on the run's device in words; None where nothing was predicted there, or by an older version.

    The median absolute error relative to what was measured, and Spearman's rank correlation, both out of sample.
    """
    event = store.last_event("predictor", _Predictor)
    found: _SoFar | None = None if event is None else event.payload.so_far
    if event is None or found is None:
        return None
    if event.payload.fingerprint_sha256 != store.meta("device_fingerprint_sha256", str | None):  # measured again elsewhere since
        return None
    return _in_words(found)


def _in_words(found: _SoFar) -> str:
    median = percent(found.median_error) or "unknown"
    rank = "unknown" if found.spearman is None else f"{found.spearman:.2f}"
    return f"median absolute error {median}, Spearman {rank}, out of sample, on {found.networks} networks"
