"""Whether a run is over."""

import math
from dataclasses import dataclass
from typing import Any

from hwnas.store import RunStore

LEAST_MORE_MIN = 10.0  # of a search that was too short


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ended:
    """What is read of an event ``ended``."""

    reason: str


def why_ended(store: RunStore) -> str | None:
    """Why the search ended; None where it was interrupted or is at work, be it again."""
    started, ended = store.last_event("started"), store.last_event("ended", _Ended)
    is_over = ended is not None and (started is None or ended.sequence > started.sequence)
    return str(ended.payload.reason) if ended is not None and is_over else None


def more_time(store: RunStore) -> str:
    """A time budget of the whole run that lets it come further: four times its own, and ten minutes at least, such as ``40m``."""
    own_s = float(store.meta("budget", dict[str, Any]).get("time") or 0.0)
    return f"{math.ceil(max(LEAST_MORE_MIN, 4 * own_s / 60))}m"
