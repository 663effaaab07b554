"""What a run says of itself while it works."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

OUT_OF_TIME = "the time budget is used up"  # why a search ended
Phase: TypeAlias = Literal["preparing", "measuring", "training", "final", "finishing", "done"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """A run at one moment; its phase ``final`` is that in which networks are trained to the end.

    ``done`` of ``total`` networks of this phase; ``trained``, ``stopped`` (early, among those trained) and ``failed`` over the
    whole run; ``best_error``, by the run's ``metric``, a share in [0, 1] and ``hypervolume`` in [0, 1] (None before there is
    one); times in seconds, ``left_s`` None without a time budget. ``message``: what the phase has to say.
    """

    phase: Phase
    generation: int
    done: int = 0
    total: int = 0
    trained: int = 0
    stopped: int = 0
    failed: int = 0
    front_size: int = 0
    best_error: float | None = None
    metric: str = "error"
    hypervolume: float | None = None
    elapsed_s: float = 0.0
    left_s: float | None = None
    message: str = ""


Listener: TypeAlias = Callable[[Progress], None]


def silent(progress: Progress) -> None:
    """A listener that does nothing."""
