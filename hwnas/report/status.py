"""Whether a run is over, and whether anything of it is lost."""

import math
import time
from dataclasses import dataclass
from typing import Any

from hwnas.store import RunStore
from hwnas.store.creation import WEIGHTS
from hwnas.store.database import DATABASE
from hwnas.store.weights import SUFFIX

NEW_S = 60.0

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


def lost(store: RunStore) -> str | None:
    """That weights lie in the folder which no outcome names, as when the database was lost in part; None where none do.

    Those of the last minute do not count: their outcome may be about to be written.
    """
    files = [store.folder / WEIGHTS / f"{name}{SUFFIX}" for name in store.unnamed_weights()]
    old = [file for file in files if time.time() - file.stat().st_mtime > NEW_S]
    if not old:
        return None
    what = "1 file of weights is" if len(old) == 1 else f"{len(old)} files of weights are"
    return (
        f"{what} named by no outcome: a kill came between the two, or a part of {DATABASE} was lost (its -wal file holds "
        "what was written last; bring it back from a backup). Nothing of it is deleted"
    )
