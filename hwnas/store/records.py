"""What a run's tables hold, as values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from hwnas.candidate import TRAINED_FROM, Candidate, Outcome
from hwnas.errors import StoreError
from hwnas.graph import Graph
from hwnas.store.codec import last_graph_from_json, steps_from_json

MeasurementKind: TypeAlias = Literal["search", "final"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A candidate, what came of it, and what was found out later, without its graph unless asked for.

    ``sequence`` and ``finished`` are its places in the order of everything written, ``created_at`` and ``finished_at`` the
    clock's seconds since 1970. ``final`` holds values measured after the search (a test error, a narrower latency).
    ``steps`` is the JSON that ``candidate`` is made from.
    """

    id: str
    generation: int
    slot: int
    operator: str
    exact: bool
    architecture_id: str
    cheap: Mapping[str, float]
    parents: tuple[str, ...] = ()
    training: Mapping[str, float | str] = field(default_factory=dict)
    genotype: str | None = None
    sequence: int
    created_at: float
    steps: str = field(repr=False)
    outcome: Outcome | None = None
    finished: int | None = None
    finished_at: float | None = None
    final: Mapping[str, float] = field(default_factory=dict)

    @property
    def is_trained(self) -> bool:
        """Whether the candidate is of a training to the end; the search never sees it."""
        return self.generation >= TRAINED_FROM

    @property
    def parent(self) -> str | None:
        """The first parent, whose weights were inherited; None for an initial network."""
        return self.parents[0] if self.parents else None

    @property
    def values(self) -> Mapping[str, float]:
        """The values that the search saw; none until there is an outcome."""
        return self.outcome.values if self.outcome else {}

    def needed(self, name: str) -> float:
        """A value that the search saw. Raises StoreError where what is stored lacks it."""
        if name not in self.values:
            raise StoreError(f"the stored outcome of {self.id} is damaged: it has no {name}")
        return self.values[name]

    @property
    def graph(self) -> Graph:
        """The network alone, in half the time that ``candidate`` takes and not compared with what was stored of it.

        Raises StoreError where what is stored is damaged, or has an operation that nobody registered.
        """
        return last_graph_from_json(self.steps, self.id)

    @property
    def candidate(self) -> Candidate:
        """The candidate with its graphs and plans, made again at each call (about 0.1 ms a step).

        Raises StoreError where what is stored is damaged, or is not the architecture that was stored.
        """
        steps = steps_from_json(self.steps, self.id)
        candidate = Candidate(
            generation=self.generation,
            slot=self.slot,
            parents=self.parents,
            steps=steps,
            cheap=self.cheap,
            training=self.training,
            genotype=self.genotype,
        )
        if candidate.id != self.id or candidate.architecture_id != self.architecture_id:
            raise StoreError(
                f"the stored steps of {self.id} are damaged: expected architecture {self.architecture_id}, "
                f"got {candidate.architecture_id} of {candidate.id}"
            )
        return candidate


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """One latency as it was measured, on the device and profile of these hashes; ``latency`` is of the kind asked for."""

    sequence: int
    architecture_id: str
    kind: MeasurementKind
    fingerprint_sha256: str
    profile_sha256: str
    latency: Any
    measured_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened in the run: an ask, a generation's summary, a start; ``payload`` is of the kind asked for."""

    sequence: int
    kind: str
    generation: int | None
    payload: Any
    at: float
