"""The words for what is tried and what came of it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from types import MappingProxyType
from typing import Literal, TypeAlias

from hwnas.errors import StoreError
from hwnas.graph import Graph, architecture_id
from hwnas.graph.spelling import spelling
from hwnas.morphism.inheritance import Calibrated, Inheritance

# Candidates of "generations" from here on are trained to the end, whatever generation they come from: they stand behind those of
# the search, which never sees them.
TRAINED_FROM = 1_000_000
# Operators of initial networks that came with their weights: as they are, or with a new head for other classes.
START, NEW_HEAD = "start", "new_head"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One operator on the way from a parent to its child: its name, the graph it led to and the plan of inheritance."""

    operator: str
    graph: Graph
    inheritance: Inheritance


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A network to be tried: ``g<generation>-<slot>``; ``t<number>-<slot>`` one of a training to the end.

    A child has a parent and one to three steps, each starting where the last one ended; an initial network has one step, the
    operator ``initial``, whose plan makes every tensor afresh; or ``start`` or ``new_head`` first, whose weights the user
    brought, and perhaps steps behind that. Of several parents the first one's weights are inherited.
    ``cheap`` holds the cheap values known when it was accepted. ``training`` holds the training settings that were searched
    together with the network, by name, and is empty where the run's own settings hold; ``genotype`` is what the search space
    built the network from, as JSON, None where it is the graph itself.
    """

    generation: int
    slot: int
    parents: tuple[str, ...] = ()
    steps: tuple[Step, ...]
    cheap: Mapping[str, float] = field(default_factory=dict)
    training: Mapping[str, float | str] = field(default_factory=dict)
    genotype: str | None = None

    def __post_init__(self) -> None:
        if self.generation < 0 or self.slot < 0 or not self.steps:
            raise StoreError(f"a candidate has a generation and slot from 0 and at least one step, got {self.id}")
        if len(set(self.parents)) < len(self.parents):
            raise StoreError(f"the parents of {self.id} must differ, got {', '.join(self.parents)}")
        if wrong := {name: v for name, v in self.training.items() if not isinstance(v, str) and not math.isfinite(v)}:
            raise StoreError(f"the training settings of {self.id} must be text and finite numbers, got {wrong}")

    @property
    def id(self) -> str:
        """``g<generation>-<slot>``, or ``t<number>-<slot>`` of a training to the end."""
        number = self.generation - TRAINED_FROM
        return f"g{self.generation}-{self.slot}" if number < 0 else f"t{number}-{self.slot}"

    @property
    def graph(self) -> Graph:
        """The network itself."""
        return self.steps[-1].graph

    @property
    def architecture_id(self) -> str:
        """The hash that isomorphic networks share."""
        return architecture_id(self.graph)

    @property
    def parent(self) -> str | None:
        """The first parent, whose weights are inherited; None for an initial network."""
        return self.parents[0] if self.parents else None

    @property
    def is_brought(self) -> bool:
        """Whether it begins with weights that the user brought, instead of a parent's or none."""
        return not self.parents and self.steps[0].operator in (START, NEW_HEAD)

    @property
    def is_trained_already(self) -> bool:
        """Whether it is a network that the user brought, as it is: its evaluation needs no training."""
        return not self.parents and self.operator == START

    @property
    def identity(self) -> str:
        """The hash by which two candidates are the same trial: see `identity_of`."""
        return identity_of(self.graph, self.training, self.genotype)

    @property
    def operator(self) -> str:
        """The operators on the way, joined by ``+``."""
        return "+".join(step.operator for step in self.steps)

    @property
    def calibrated(self) -> tuple[int, ...]:
        """The batch norms, new since the parent, that are calibrated before training."""
        nodes: list[int] = []
        for step in self.steps:  # step by step: the id of a node that one step removed may be taken by a later one
            nodes = [node for node in nodes if node in step.graph]
            nodes += [record.node for record in step.inheritance.records if isinstance(record, Calibrated)]
        return tuple(nodes)

    @property
    def exact(self) -> bool:
        """Whether the candidate computes what its parent computed, before training."""
        return self.parent is not None and all(step.inheritance.exact for step in self.steps)


def identity_of(graph: Graph, training: Mapping[str, float | str] = MappingProxyType({}), genotype: str | None = None) -> str:
    """The hash of a network, its own training settings and its genotype (our definition): the architecture id where it has
    neither. A candidate of the same identity as another would be the same trial again.
    """
    if not training and genotype is None:
        return architecture_id(graph)
    settings = tuple((name, training[name]) for name in sorted(training))
    return blake2b(spelling((architecture_id(graph), settings, genotype)).encode(), digest_size=8).hexdigest()


FailureKind: TypeAlias = Literal["diverged", "time_limit", "out_of_memory", "worker_died", "export_failed", "work_failed"]
Status: TypeAlias = Literal["finished", "failed", "infeasible", "unfinished", "stopped_early", "unvalidated"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why a candidate came to nothing."""

    kind: FailureKind
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CurvePoint:
    """A training after ``images`` images, one point of its learning curve.

    ``loss``: the mean training loss in nats of the batches looked at since the point before. ``error``: that on the validation
    data, a share in [0, 1]; None where it was not computed.
    """

    images: int
    loss: float
    error: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of a candidate.

    ``finished``: ``values`` holds every objective and whatever else was recorded (all finite; ``error`` is a share in [0, 1]),
    ``weights`` the content hash of its trained weights. ``failed``: ``failure`` says why. ``infeasible``: it broke a hard limit
    and was not trained. ``unfinished``: the budget ended first. ``stopped_early``: others were better at a rung of its training;
    ``values`` holds its error there and how many ``images`` it had seen, its weights are not kept. ``unvalidated``: trained on
    the validation images, too, so that nothing tells its validation error; it has weights and no ``error``. ``curve`` is the
    learning curve of its training.
    """

    candidate_id: str
    status: Status
    values: Mapping[str, float] = field(default_factory=dict)
    weights: str | None = None
    failure: Failure | None = None
    train_seconds: float = 0.0
    curve: tuple[CurvePoint, ...] = ()

    def __post_init__(self) -> None:
        wrong = {name: value for name, value in self.values.items() if not math.isfinite(value)}
        if wrong:
            raise StoreError(f"outcome of {self.candidate_id}: values must be finite, got {wrong}; a failure has no values")
        if (self.status == "failed") != (self.failure is not None):
            raise StoreError(f"outcome of {self.candidate_id}: status {self.status} and failure {self.failure} do not agree")
        has_error = 0 <= self.values.get("error", -1) <= 1
        if self.status == "finished" and not (self.weights and has_error):
            raise StoreError(f"outcome of {self.candidate_id}: a finished one has weights and an error in [0, 1]")
        if self.status == "unvalidated" and (self.weights is None or "error" in self.values):
            raise StoreError(f"outcome of {self.candidate_id}: an unvalidated one has weights and no error")
        if self.status == "stopped_early" and not (self.weights is None and has_error and "images" in self.values):
            raise StoreError(
                f"outcome of {self.candidate_id}: one stopped early has an error in [0, 1], the images it had seen and no weights"
            )


def stream_seed(run_seed: int, *names: str | int) -> int:
    """The seed, in [0, 2**63), of the random stream that belongs to a candidate or step of a run."""
    text = "/".join(str(part) for part in (run_seed, *names))
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big") >> 1
