"""The search loop: ask, measure, train, store, tell; and the replay that a resumed run begins with.

For each generation:

1. The strategy is asked (or, on replay, adopts what is stored); its candidates are stored before anything is done with them.
2. Weights are transferred and ONNX is emitted; the candidates are measured in one batch while the workers are idle, or, on a
   device that is another machine, while the workers train those that were measured before.
3. What is over a limit is stored as infeasible; the others are trained, and each result is stored the moment it comes.
4. When all have an outcome, they are told in the order of the candidates, so that the number of workers changes nothing.
"""

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hwnas.candidate import Candidate, Failure, Outcome
from hwnas.errors import DeviceError, DivergedError, ExportError, HwnasError, ModelError, WorkError
from hwnas.execution import EvaluationResult, EvaluationTask, Executor, Teacher, unpack
from hwnas.experiment.budget import Clock
from hwnas.experiment.cheap import cheap_values, topology_values
from hwnas.experiment.deployment import Deployment
from hwnas.experiment.feasible import impossible
from hwnas.experiment.interrupt import Interrupt
from hwnas.experiment.latency import LatencySource, latency_source
from hwnas.experiment.parts import Parts
from hwnas.experiment.progress import Listener, Phase, Progress
from hwnas.experiment.tasks import inherit, task_for
from hwnas.experiment.yardstick import Yardstick
from hwnas.graph import Graph, to_json
from hwnas.network import State
from hwnas.store import RunStore, content_hash

# What one network's file may do; a device that is lost is another matter, and ends the sitting.
UNUSABLE = (DivergedError, ExportError, ModelError)
WAIT_S = 0.5  # how long the loop waits for a result before it looks at the clock


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """Why a search ended, and what it did in this sitting."""

    reason: str
    trained: int
    reused: int


class SearchLoop:
    """One sitting of a run."""

    def __init__(
        self,
        *,
        parts: Parts,
        store: RunStore,
        executor: Executor,
        clock: Clock,
        images: int,
        listener: Listener,
        interrupt: Interrupt,
    ) -> None:
        self._parts = parts
        self._store = store
        self._executor = executor
        self._clock = clock
        self._images = images
        self._listener = listener
        self._interrupt = interrupt
        self.deployment = Deployment(parts)
        self._latencies = latency_source(parts, store)
        self._strategy = parts.strategy(self._cheap)
        self._outcomes: dict[str, Outcome] = {}
        self._training: dict[str, tuple[Candidate, Mapping[str, float]]] = {}  # submitted, with what is known but the error
        self._yardstick: Yardstick | None = None
        self._progress = Progress(phase="preparing", generation=0)
        self._trained = 0
        self._reused = 0
        self._counts: Counter[str] = Counter()  # of outcomes by status
        self._summarised: set[int | None] = set()  # generations whose summary is stored

    @property
    def latencies(self) -> LatencySource | None:
        """The latencies, where they matter."""
        return self._latencies

    @property
    def front(self) -> tuple[str, ...]:
        """Ids of the front, best error first."""
        return self._strategy.front

    def run(self) -> Ended:
        """Replay what is stored, then search until the budget ends."""
        stored: dict[int, list[Candidate]] = {}
        for row in self._store.rows():
            stored.setdefault(row.generation, []).append(row.candidate)
            if row.outcome is not None and row.outcome.status != "unfinished":
                self._outcomes[row.id] = row.outcome
                self._counts[row.outcome.status] += 1
        self._summarised = {event.generation for event in self._store.events("generation")}
        self._reused = len(self._outcomes)
        generation = 0
        while (reason := self._end(generation, stored)) is None:
            candidates = stored.get(generation)
            if candidates is None:
                candidates = self._ask()
            else:
                self._strategy.adopt(candidates)
            if not candidates:
                return Ended(reason=self._exhausted(), trained=self._trained, reused=self._reused)
            self._generation(generation, candidates)
            generation += 1
        if generation in stored:  # the budget ended within it, in an earlier sitting: what finished counts
            self._strategy.adopt(stored[generation])
            self._tell(generation, stored[generation])
        return Ended(reason=reason, trained=self._trained, reused=self._reused)

    def _end(self, generation: int, stored: Mapping[int, Sequence[Candidate]]) -> str | None:
        """Why the search ends before this generation; None while it goes on. What is complete in the store is always replayed."""
        if generation in stored and all(candidate.id in self._outcomes for candidate in stored[generation]):
            return None
        budget = self._parts.config.budget
        if budget.generations is not None and generation > budget.generations:
            return f"{budget.generations} generations are done"
        if budget.max_evaluations is not None and self._evaluations() >= budget.max_evaluations:
            return f"{budget.max_evaluations} evaluations are done"
        return "the time budget is used up" if self._clock.is_over else None

    def _evaluations(self) -> int:
        return self._counts["finished"] + self._counts["failed"]

    def _ask(self) -> list[Candidate]:
        if self._latencies is not None:
            self._latencies.refit()
        ask = self._strategy.ask()
        facts: dict[str, object] = {"proposed": ask.proposed, "duplicates": ask.duplicates, "over_limit": dict(ask.over_limit)}
        if ask.nearest is not None:
            facts["nearest"] = dict(ask.nearest)
        if ask.candidates:
            self._store.add_candidates(ask.candidates, ask=facts)
        else:
            self._store.add_event("ask", facts)
        return list(ask.candidates)

    def _exhausted(self) -> str:
        event = self._store.last_event("ask")
        payload = {} if event is None else event.payload
        message = "no new network was found"
        if "nearest" in payload:
            message = impossible(self._parts.limits, payload["nearest"])
        if not self.front:
            raise WorkError(message)
        return message

    def _generation(self, generation: int, candidates: Sequence[Candidate]) -> None:
        self.report("measuring", generation=generation, done=0, total=len(candidates))
        device = self._parts.device
        if (device is None or device.is_elsewhere) and not all(candidate.id in self._outcomes for candidate in candidates):
            self._executor.warm_up()  # beside measuring here they would disturb it
        self._submit(self._measure(candidates))
        if self._latencies is not None and all(self._is_measured(candidate) for candidate in candidates):
            self._latencies.report(generation, candidates)
        self._train(candidates)
        self._tell(generation, candidates)

    def _measure(self, candidates: Sequence[Candidate]) -> list[tuple[Candidate, Mapping[str, float]]]:
        """The feasible candidates, with their values; those measured elsewhere have been submitted."""
        feasible: list[tuple[Candidate, Mapping[str, float]]] = []
        device = self._parts.device
        for done, candidate in enumerate(candidates, 1):
            if candidate.id not in self._outcomes and self._clock.is_over:
                self._keep(Outcome(candidate_id=candidate.id, status="unfinished"), None)
                continue
            try:
                known = self._known(candidate)
            except UNUSABLE as error:
                if candidate.id not in self._outcomes:
                    self._keep(_unusable(candidate.id, error), None)
                continue
            except DeviceError:  # it was waited for, and children went on training meanwhile
                if self.deployment.is_exact:  # other errors are computed by the device, which is lost
                    self._collect(0.0)
                raise
            if candidate.id not in self._outcomes and not self._infeasible(candidate, known):
                feasible.append((candidate, known))
            if device is not None and device.is_elsewhere:
                self._submit(feasible)
                feasible = []
                self._collect(0.0)
            self.report("measuring", done=done)
            self._interrupt.check()
        return feasible

    def _is_measured(self, candidate: Candidate) -> bool:
        outcome = self._outcomes.get(candidate.id)
        return outcome is None or "macs" in outcome.values or outcome.status == "finished"

    def _inherit(self, candidate: Candidate) -> State:
        parent = {} if candidate.parent is None else unpack(self._weights_of(candidate.parent))
        return inherit(candidate, parent, self._parts.config.seed)

    def _weights_of(self, candidate_id: str) -> bytes:
        name = self._outcomes[candidate_id].weights
        if name is None:
            raise WorkError(f"{candidate_id} is a parent but has no weights")
        return self._store.weights(name)

    def _known(self, candidate: Candidate) -> Mapping[str, float]:
        """The candidate's values but for its error: of its topology, and its latency, which may have to be measured."""
        graph = candidate.graph
        values = dict(topology_values(graph))
        if self._latencies is not None:
            values |= self._latencies.values(graph, lambda: self.deployment.model(graph, self._inherit(candidate)))
        return values

    def _infeasible(self, candidate: Candidate, known: Mapping[str, float]) -> bool:
        """Store a candidate whose measured values break a limit that its predicted ones kept."""
        if all(limit.allows(known[limit.objective]) for limit in self._parts.limits):
            return False
        self._keep(Outcome(candidate_id=candidate.id, status="infeasible", values=known), None)
        return True

    def _submit(self, feasible: Sequence[tuple[Candidate, Mapping[str, float]]]) -> None:
        """Hand candidates to the workers; those that ``max_evaluations`` has no room for stay unfinished."""
        most = self._parts.config.budget.max_evaluations
        fitting = len(feasible) if most is None else max(0, most - self._evaluations() - len(self._training))
        for candidate, _ in feasible[fitting:]:
            self._keep(Outcome(candidate_id=candidate.id, status="unfinished"), None)
        # The largest first, so that no worker is left alone with one at the end; results do not depend on the order.
        for candidate, known in sorted(feasible[:fitting], key=lambda each: -each[1]["macs"]):
            self._training[candidate.id] = (candidate, known)
            self._executor.submit(self._task(candidate))

    def _collect(self, timeout_s: float) -> None:
        """Store the results that have come."""
        for result in self._executor.wait(timeout_s):
            outcome = self._outcome(result, *self._training.pop(result.candidate_id))
            self._keep(outcome, result.weights if outcome.status == "finished" else None)
            self._trained += 1

    def _train(self, candidates: Sequence[Candidate]) -> None:
        """Wait for the candidates' results; when the time is over, what has none stays unfinished."""
        self.report("training", done=len(candidates) - len(self._training), total=len(candidates))
        while self._training:
            left = self._clock.left_s
            self._collect(WAIT_S if left is None else min(WAIT_S, left))
            self.report("training", done=len(candidates) - len(self._training))
            self._interrupt.check()
            if self._training and self._clock.is_over:
                self._executor.cancel()
                for candidate_id in self._training:
                    self._keep(Outcome(candidate_id=candidate_id, status="unfinished"), None)
                self._training.clear()

    def _task(self, candidate: Candidate) -> EvaluationTask:
        teacher = None
        if candidate.parent is not None and not candidate.exact and self._parts.lemonade.inherit:
            parent = self._store.candidate(candidate.parent)
            teacher = Teacher(graph=to_json(parent.graph), weights=self._weights_of(candidate.parent))
        return task_for(candidate, self._inherit(candidate), teacher, self._parts, self._images)

    def _outcome(self, result: EvaluationResult, candidate: Candidate, known: Mapping[str, float]) -> Outcome:
        if result.evaluation is None or result.weights is None:
            failure = result.failure or Failure(kind="work_failed", message="the worker gave no result")
            return Outcome(candidate_id=result.candidate_id, status="failed", failure=failure)
        found = result.evaluation
        if not self.deployment.is_exact:
            try:
                found = self.deployment.evaluate(candidate.graph, unpack(result.weights), self._parts.data.validation)
            except UNUSABLE as reason:
                return _unusable(candidate.id, reason)
        error, low, high = found.by(self._parts.config.metric)
        values = {
            "error": error,
            "error_low": low,
            "error_high": high,
            "plain_error": found.error,
            "balanced_error": found.balanced_error,
            "loss": found.loss,
            "images": float(result.images),
        }
        if result.expected_change is not None:
            values["expected_change"] = result.expected_change
        return Outcome(
            candidate_id=result.candidate_id,
            status="finished",
            values={**known, **values},
            weights=content_hash(result.weights),
            train_seconds=result.train_seconds,
        )

    def _keep(self, outcome: Outcome, weights: bytes | None) -> None:
        self._store.add_outcome(outcome, weights)
        self._store.set_meta("used_s", self._clock.used_s)
        self._outcomes[outcome.candidate_id] = outcome
        self._counts[outcome.status] += 1

    def _tell(self, generation: int, candidates: Sequence[Candidate]) -> None:
        outcomes = [self._outcomes.get(each.id, Outcome(candidate_id=each.id, status="unfinished")) for each in candidates]
        for outcome in outcomes:
            self._strategy.tell(outcome)
        if not self.front and all(outcome.status != "infeasible" for outcome in outcomes):
            failures = {outcome.failure.message for outcome in outcomes if outcome.failure is not None}
            raise WorkError(f"no initial network could be trained: {'; '.join(sorted(failures)) or 'the time was too short'}")
        if self._yardstick is None and self.front:
            first = [outcome.values for outcome in outcomes if outcome.status == "finished"]
            self._yardstick = Yardstick.of(self._parts.objectives, first)
        if generation not in self._summarised and all(outcome.status != "unfinished" for outcome in outcomes):
            summary = {"used_s": self._clock.used_s, "front": len(self.front), "hypervolume": self._hypervolume()}
            self._store.add_event("generation", summary, generation=generation)
        self.report("training", front_size=len(self.front), hypervolume=self._hypervolume())

    def report(self, phase: Phase, **changes: Any) -> None:
        """Let the listener know; what does not change is kept from the last report."""
        errors = [self._outcomes[member].values["error"] for member in self.front[:1]]
        changes |= {"best_error": errors[0] if errors else None, "trained": self._trained, "failed": self._counts["failed"]}
        changes |= {"phase": phase, "elapsed_s": self._clock.used_s, "left_s": self._clock.left_s}
        self._progress = dataclasses.replace(self._progress, **changes)
        self._listener(self._progress)

    def _hypervolume(self) -> float | None:
        if self._yardstick is None or not self.front:
            return None
        return self._yardstick.hypervolume([self._outcomes[member].values for member in self.front])

    def _cheap(self, graphs: Sequence[Graph]) -> list[Mapping[str, float]]:
        predicted = None if self._latencies is None else self._latencies.predicted_ms
        return [cheap_values(graph, predicted) for graph in graphs]


def _unusable(candidate_id: str, error: HwnasError) -> Outcome:
    """A network whose file the device cannot run, or that gives no answers there."""
    failure = Failure(kind="diverged" if isinstance(error, DivergedError) else "export_failed", message=str(error))
    return Outcome(candidate_id=candidate_id, status="failed", failure=failure)
