"""Children at the rungs of their training: where they stop, what they are worth there, who is trained on (see `halving`).

In generations a child waits at its rung for its siblings. Who continues follows from what all of them were worth there, and that
is stored: a resumed run, which trains again what was in training, decides as the one that was killed did or would have done.
With ``--async`` nobody waits: a child is compared with those that came to the rung before it, in the order that is stored.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil

from hwnas.candidate import Candidate
from hwnas.data import step_count
from hwnas.experiment.context import RunContext
from hwnas.search import AsyncRungs, promoted
from hwnas.store import RunStore

EVENT = "rung"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reached:
    """What is read of an event ``rung``: a child at its rung, what it is worth there, on which device (None: on none)."""

    candidate: str
    rung: int
    values: Mapping[str, float]
    device: str | None


class Ladder:
    """The rungs of a run; there are none where they are not wanted."""

    def __init__(self, context: RunContext, store: RunStore, images: int) -> None:
        """``images`` is the budget of a child. What reached a rung in earlier sessions, on this device, is taken in."""
        self._context = context
        self._store = store
        self._stops = _stops(context, images)
        self._device = context.device_sha256
        self._arrivals = AsyncRungs(context.rungs, context.objectives) if context.config.asynchronous else None
        self._generation = 0
        self._reached: list[dict[str, Mapping[str, float]]] = []  # of this generation, by rung
        for event in store.events(EVENT, _Reached):
            found: _Reached = event.payload
            if found.device == self._device and event.generation is not None:  # latencies of two devices never mix
                self._take(event.generation, found.rung, found.candidate, found.values)

    def until(self, candidate: Candidate, rung: int) -> int | None:
        """How many images a candidate has seen when it comes to a rung; None where it is trained to its end instead.

        Initial networks are: the search begins with all of them (our choice).
        """
        return None if candidate.parent is None or rung >= len(self._stops) else self._stops[rung]

    def reach(self, candidate: Candidate, rung: int, values: Mapping[str, float]) -> bool | None:
        """Keep what a child is worth at its rung; whether it continues, None where that takes its siblings."""
        compared = {objective.name: values[objective.name] for objective in self._context.objectives}
        payload = {"candidate": candidate.id, "rung": rung, "images": values["images"], "values": compared}
        self._store.add_event(EVENT, payload | {"device": self._device}, generation=candidate.generation)
        self._take(candidate.generation, rung, candidate.id, compared)
        return None if self._arrivals is None else self._arrivals.is_promoted(rung, candidate.id)

    def promoted(self, rung: int) -> frozenset[str]:
        """Who continues of the children of this generation, all of which are at a rung or beyond, or have ended."""
        return promoted(self._reached[rung], self._context.objectives, self._context.rungs.keep)

    def _take(self, generation: int, rung: int, candidate_id: str, values: Mapping[str, float]) -> None:
        if self._arrivals is not None:
            self._arrivals.add(rung, candidate_id, values)
            return
        if generation > self._generation:
            self._generation, self._reached = generation, [{} for _ in self._stops]
        self._reached[rung][candidate_id] = values


def _stops(context: RunContext, images: int) -> tuple[int, ...]:
    """Images seen at each rung, in whole batches."""
    if not context.rungs.enabled:
        return ()
    batch_size = context.trainer.batch_size
    steps = step_count(images, batch_size)
    return tuple(batch_size * stop for stop in sorted({ceil(share * steps) for share in context.rungs.shares} - {steps}))
