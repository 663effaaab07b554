"""From a candidate to its outcome: inherit, measure, check the limits, train, keep. Both search loops work with this.

Every outcome is stored the moment it is known, and ``outcomes`` holds them in that order; it is what a replay goes by. What the
budget left unfinished is stored for readers only: here it has no outcome, and it is tried again when the run continues.
"""

import dataclasses
import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from hwnas.candidate import Candidate, Failure, Outcome
from hwnas.errors import DeviceError, MorphismError, WorkError
from hwnas.execution import EvaluationResult, EvaluationTask, Executor, Teacher, unpack
from hwnas.experiment.budget import Clock
from hwnas.experiment.context import RunContext
from hwnas.experiment.device_model import DeviceModel
from hwnas.experiment.latency import LatencySource
from hwnas.experiment.original import teaching_original
from hwnas.experiment.outcomes import UNUSABLE, failed, outcome_of, unusable
from hwnas.experiment.rungs import Ladder
from hwnas.experiment.tasks import inherit, task_for
from hwnas.graph import to_json
from hwnas.morphism.touched import touched
from hwnas.network import State
from hwnas.search import broken_limit
from hwnas.store import RunStore

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A candidate within the limits that waits for its training, and its values but for what training gives."""

    candidate: Candidate
    values: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class InTraining:
    """A candidate with the workers, or at rung ``rung`` of its training: the task of its next part, seconds of those before."""

    measured: Measured
    task: EvaluationTask
    rung: int = 0
    train_seconds: float = 0.0


class Evaluator:
    """Candidates on their way to an outcome in one session of a run."""

    def __init__(
        self,
        *,
        context: RunContext,
        store: RunStore,
        executor: Executor,
        clock: Clock,
        images: int,
        deployment: DeviceModel,
        latencies: LatencySource | None,
    ) -> None:
        self._context = context
        self._store = store
        self._executor = executor
        self._clock = clock
        self._images = images
        self.budgets: dict[int, int] = {}  # images of a child by generation, where they are not those of the run
        self._deployment = deployment
        self._latencies = latencies
        self.outcomes: dict[str, Outcome] = {}
        self.counts: Counter[str] = Counter()  # of outcomes by status
        self.trained = 0  # in this session
        self._ladder = Ladder(context, store, images)
        self._training: dict[str, InTraining] = {}
        self._resting: dict[str, tuple[InTraining, Outcome]] = {}  # at a rung until their siblings are there
        self._inherited: dict[str, State] = {}  # weights that were transferred for measuring, until the training takes them
        self._seen: set[str] = set()
        self._left: set[str] = set()  # what readers see as unfinished

    @property
    def training(self) -> int:
        """How many candidates are in training, those that wait for a worker or at a rung included."""
        return len(self._training) + len(self._resting)

    @property
    def evaluations(self) -> int:
        """How many candidates finished, were stopped early or failed, in all sessions; it is what ``max_evaluations`` bounds.

        A failure counts even where it came before the training; who is over a limit does not count.
        """
        return self.counts["finished"] + self.counts["stopped_early"] + self.counts["failed"]

    @property
    def measures_here(self) -> bool:
        """Whether measuring wants this machine for itself."""
        return self._context.device is not None and not self._context.device.is_elsewhere

    @property
    def measures_elsewhere(self) -> bool:
        """Whether measuring takes time, but on another machine."""
        return self._context.device is not None and self._context.device.is_elsewhere

    def restore(self, outcomes: Iterable[Outcome]) -> None:
        """Take in what earlier sessions stored, in the order in which they did."""
        for outcome in outcomes:
            if outcome.status == "unfinished":
                self._left.add(outcome.candidate_id)
            else:
                self._take(outcome)

    def measure(self, candidate: Candidate) -> Measured | Outcome:
        """A candidate with all that is known before its training, which may have to be measured; or what came of it already.

        Its weights are inherited first: a plan that cannot be carried out is a failure of this candidate alone.

        One that has an outcome is not measured again, but looked at: in a replay the predictor learns from it.
        """
        before = self.outcomes.get(candidate.id)
        if before is not None:
            if self._latencies is None or self._latencies.recall(candidate.graph):
                self._seen.add(candidate.id)
            return before
        try:
            self._state(candidate)
            values = self._values(candidate)
        except MorphismError as error:
            _log.warning("%s", error, exc_info=error)
            return self._keep(failed(candidate.id, Failure(kind="work_failed", message=str(error))))
        except UNUSABLE as error:
            return self._keep(failed(candidate.id, unusable(error)))
        except DeviceError:  # it was waited for, and children went on training meanwhile
            if self._deployment.is_exact:  # other errors are computed by the device, which is lost
                self.collect(0.0)
            raise
        self._seen.add(candidate.id)
        if broken_limit(self._context.limits, values) is not None:  # its predicted values kept them
            return self._keep(Outcome(candidate_id=candidate.id, status="infeasible", values=values))
        return Measured(candidate=candidate, values=values)

    def is_measured(self, candidate: Candidate) -> bool:
        """Whether all that can be known before training is known."""
        return candidate.id in self._seen

    def submit(self, measured: Sequence[Measured]) -> None:
        """Hand candidates to the workers, the largest first, so that no worker is left alone with one at the end.

        Initial networks the smallest first: on a slow machine there is a front as soon as can be.
        """
        # Results do not depend on the order.
        for each in sorted(measured, key=lambda each: each.values["macs"] * (1 if each.candidate.parent is None else -1)):
            self._train(InTraining(measured=each, task=self._task(each.candidate)))

    def collect(self, timeout_s: float) -> list[Outcome]:
        """What came of candidates in training, stored; none where the time is up first, or all of it continues from a rung."""
        outcomes = []
        for result in self._executor.wait(timeout_s):
            training = self._training.pop(result.candidate_id)
            measured = training.measured
            outcome = outcome_of(
                result,
                graph=measured.candidate.graph,
                values=measured.values,
                context=self._context,
                deployment=self._deployment,
                train_seconds=training.train_seconds,
            )
            if outcome.status == "finished" and result.checkpoint is not None:
                outcomes += self._at_rung(training, outcome, result)
            else:
                outcomes.append(self._end(outcome, result.weights))
        return outcomes

    def compare(self) -> None:
        """Where all in training have come to their rung: the better part is trained on, what came of the others is stored."""
        if self._training or not self._resting:
            return
        resting, self._resting = self._resting, {}
        is_promoted = self._ladder.promoted(next(iter(resting.values()))[0].rung)
        for candidate_id, (training, outcome) in sorted(resting.items(), key=lambda each: -each[1][1].values["macs"]):
            if candidate_id in is_promoted:
                self._train(dataclasses.replace(training, rung=training.rung + 1))
            else:
                self._stop(outcome)

    def cancel(self) -> None:
        """End all training at once; what was in training stays unfinished."""
        self._executor.cancel()
        for candidate_id in (*self._training, *self._resting):
            self.leave(candidate_id)
        self._training.clear()
        self._resting.clear()

    def leave(self, candidate_id: str) -> None:
        """The budget ends before this candidate is done: readers see it as unfinished."""
        self._inherited.pop(candidate_id, None)
        if candidate_id not in self._left:
            self._store.add_outcome(Outcome(candidate_id=candidate_id, status="unfinished"), None)
            self._left.add(candidate_id)

    def warm_up(self) -> None:
        """Start the workers, unless measuring here would be disturbed by that."""
        if not self.measures_here:
            self._executor.warm_up()

    def _train(self, training: InTraining) -> None:
        """Hand the next part of a training to the workers."""
        candidate = training.measured.candidate
        self._executor.submit(dataclasses.replace(training.task, until=self._ladder.until(candidate, training.rung)))
        self._training[candidate.id] = training

    def _at_rung(self, training: InTraining, outcome: Outcome, result: EvaluationResult) -> list[Outcome]:
        """What comes of a child that reached its rung now; nothing where it continues, or waits for its siblings."""
        assert result.weights is not None
        task = dataclasses.replace(training.task, weights=result.weights, checkpoint=result.checkpoint)
        training = dataclasses.replace(training, task=task, train_seconds=outcome.train_seconds)
        is_promoted = self._ladder.reach(training.measured.candidate, training.rung, outcome.values)
        if is_promoted is None:
            self._resting[outcome.candidate_id] = (training, outcome)
        elif is_promoted:
            self._train(dataclasses.replace(training, rung=training.rung + 1))
        return [self._stop(outcome)] if is_promoted is False else []

    def _stop(self, outcome: Outcome) -> Outcome:
        return self._end(dataclasses.replace(outcome, status="stopped_early", weights=None))

    def _end(self, outcome: Outcome, weights: bytes | None = None) -> Outcome:
        """A training is over."""
        self.trained += 1
        return self._keep(outcome, weights if outcome.status == "finished" else None)

    def _keep(self, outcome: Outcome, weights: bytes | None = None) -> Outcome:
        self._inherited.pop(outcome.candidate_id, None)
        self._store.add_outcome(outcome, weights)
        self._store.set_meta("used_s", self._clock.used_s)
        self._take(outcome)
        return outcome

    def _take(self, outcome: Outcome) -> None:
        self.outcomes[outcome.candidate_id] = outcome
        self.counts[outcome.status] += 1

    def _values(self, candidate: Candidate) -> Mapping[str, float]:
        """The candidate's values but for its error: of its topology, and its latency, which may have to be measured."""
        graph = candidate.graph
        values = dict(self._context.graph_values(graph))
        if self._latencies is not None:
            values |= self._latencies.values(graph, lambda: self._deployment.model(graph, self._state(candidate)))
        return values

    def _state(self, candidate: Candidate) -> State:
        """The weights that a candidate inherits, kept until it is submitted or has an outcome."""
        if candidate.id not in self._inherited:
            self._inherited[candidate.id] = inherit(candidate, self._parent_state(candidate), self._context.config.seed)
        return self._inherited[candidate.id]

    def _parent_state(self, candidate: Candidate) -> State:
        """What a candidate's first step inherits from: its parent's weights, those that the user brought, or nothing."""
        if candidate.parent is not None:
            return unpack(self._weights_of(candidate.parent))
        return self._context.brought(candidate.steps[0].graph) if candidate.is_brought else {}

    def _weights_of(self, candidate_id: str) -> bytes:
        name = self.outcomes[candidate_id].weights
        if name is None:
            raise WorkError(f"{candidate_id} is a parent but has no weights")
        return self._store.weights(name)

    def _task(self, candidate: Candidate) -> EvaluationTask:
        teacher, first = None, frozenset[str]()
        if candidate.parent is not None and not candidate.exact and self._context.strategy_settings.inherits:
            parent = teaching = self._store.candidate(candidate.parent)
            if self._context.trainer.two_phase:
                first = touched(parent.graph, [(step.graph, step.inheritance) for step in candidate.steps])
            if self._context.config.original_teaches and self._context.starts:
                teaching = teaching_original(self._store, candidate.parent, self.outcomes) or teaching
            teacher = Teacher(graph=to_json(teaching.graph), weights=self._weights_of(teaching.id))
        images = 0 if candidate.is_trained_already else self.budgets.get(candidate.generation, self._images)
        task = task_for(candidate, self._state(candidate), teacher, self._context, images, first)
        del self._inherited[candidate.id]
        return task
