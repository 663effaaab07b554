"""Whether a run is over."""

from dataclasses import dataclass

from hwnas.store import RunStore


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ended:
    """What is read of an event ``ended``."""

    reason: str


def why_ended(store: RunStore) -> str | None:
    """Why the search ended; None where it was interrupted or is at work, be it again."""
    started, ended = store.last_event("started"), store.last_event("ended", _Ended)
    is_over = ended is not None and (started is None or ended.sequence > started.sequence)
    return str(ended.payload.reason) if ended is not None and is_over else None
