"""One session of a run: what both search loops share beside the evaluation of candidates.

A session asks the strategy and stores the answer before anything is done with it, knows when the budget ends, keeps a summary
of each generation, and lets the listener know.
"""

import dataclasses
import logging
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hwnas.candidate import Candidate, Outcome
from hwnas.errors import ConfigError, WorkError
from hwnas.execution import Executor
from hwnas.experiment.budget import LEAST_STEPS, ChildBudget, Clock, images_that_fit, time_limit_s
from hwnas.experiment.cheap import Predict, cheap_values
from hwnas.experiment.context import RunContext
from hwnas.experiment.device_model import DeviceModel
from hwnas.experiment.evaluator import Evaluator
from hwnas.experiment.feasible import impossible
from hwnas.experiment.hypervolume_box import HypervolumeBox
from hwnas.experiment.interrupt import Interrupt
from hwnas.experiment.latency import latency_source
from hwnas.experiment.planning import plans, trained_ids
from hwnas.experiment.predicted_change import NAME as EXPECTED_CHANGE
from hwnas.experiment.predicted_change import PredictedChange
from hwnas.graph import Graph
from hwnas.progress.progress import OUT_OF_TIME, Listener, Phase, Progress
from hwnas.search import OperatorFailure
from hwnas.store import RunStore

_log = logging.getLogger(__name__)
WAIT_S = 0.5  # how long a loop waits for a result before it looks at the clock


@dataclass(frozen=True, slots=True, kw_only=True)
class _Failed:
    """How many proposals were dropped because an operator failed, and what it said last."""

    count: int
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """What is read of an event ``ask``: the values of what came nearest to the limits, where nothing kept them, which operators
    failed, and on how many images its candidates are trained, where that follows the machine's speed."""

    nearest: Mapping[str, float] | None = None
    failed: Mapping[str, _Failed] = field(default_factory=dict)
    images: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """Why a search ended, and what it did in this session.

    ``reopened``: networks over the latency limit of another device, never trained, that this device made open to be tried.
    """

    reason: str
    trained: int
    reused: int
    reopened: int = 0


def generations_done(most: int) -> str:
    """Why a search ends that was to have this many generations."""
    return "1 generation is done" if most == 1 else f"{most} generations are done"


class Session:
    """The parts of a run at work."""

    def __init__(
        self,
        *,
        context: RunContext,
        store: RunStore,
        executor: Executor,
        clock: Clock,
        child: ChildBudget,
        listener: Listener,
        interrupt: Interrupt,
    ) -> None:
        self.context = context
        self.store = store
        self.executor = executor
        self.clock = clock
        self.interrupt = interrupt
        self.deployment = DeviceModel(context)
        self.latencies = latency_source(context, store)  # None where they do not matter
        self.changes = PredictedChange(store) if context.predicts_change else None
        self.strategy = context.strategy(self._cheap)
        self.evaluator = Evaluator(
            context=context,
            store=store,
            executor=executor,
            clock=clock,
            images=child.images,
            deployment=self.deployment,
            latencies=self.latencies,
        )
        self._listener = listener
        self._yardstick: HypervolumeBox | None = None
        self._progress = Progress(phase="preparing", generation=0, metric=context.config.metric)
        budget, final = context.config.budget, context.config.final
        self._child = child
        self._asked_at_s: float | None = None
        self._reserve_s = final.share * (time_limit_s(budget) or 0.0)
        self._reused = 0
        self._is_tidy = True
        self._operators_that_failed: set[str] = set()  # those the log has a warning of
        self._summarised: set[int | None] = set()  # generations whose summary is stored

    @property
    def front(self) -> tuple[str, ...]:
        """Ids of the front, best error first."""
        return self.strategy.front

    def restore(self) -> dict[int, list[Candidate]]:
        """Take in what earlier sessions stored; gives the candidates of each ask."""
        stored: dict[int, list[Candidate]] = {}
        outcomes: dict[int, Outcome] = {}
        for row in self.store.rows():
            if row.is_trained:
                continue
            stored.setdefault(row.generation, []).append(row.candidate)
            if row.outcome is not None and row.finished is not None:
                outcomes[row.finished] = row.outcome
        self.evaluator.restore(outcomes[place] for place in sorted(outcomes))
        self._summarised = {event.generation for event in self.store.events("generation")}
        self._reused = len(self.evaluator.outcomes)
        for event in self.store.events("ask", _Asked):
            if event.payload.images is not None and event.generation is not None:
                self.evaluator.budgets[event.generation] = event.payload.images
        return stored

    def ask(self, number: int, count: int | None = None) -> list[Candidate]:
        """The strategy's next candidates, a generation or at most ``count``, stored; none where it found nothing new.

        ``number``: which ask of the run this is. What an ask for ``count`` was given is stored with it, for the replay.
        """
        for predictor in (self.latencies, self.changes):
            if predictor is not None:
                predictor.refit()
        ask = self.strategy.ask(count)
        facts: dict[str, object] = {"proposed": ask.proposed, "duplicates": ask.duplicates, "over_limit": dict(ask.over_limit)}
        if ask.nearest is not None:
            facts["nearest"] = dict(ask.nearest)
        if ask.failures:
            facts["failed"] = self._failed(ask.failures)
        if (images := self._images(number)) is not None:
            facts["images"] = self.evaluator.budgets[number] = images
        if count is not None:
            facts |= {"wanted": count, "told": len(self.evaluator.outcomes)}
        if ask.candidates:
            self.store.add_candidates(ask.candidates, ask=facts)
        else:
            self.store.add_event("ask", facts, generation=number)
        return list(ask.candidates)

    def _failed(self, failures: Sequence[OperatorFailure]) -> dict[str, dict[str, object]]:
        """What an ask's event says of operators that failed, by their name; the log says the first failure of each, in full."""
        for failure in failures:
            if failure.operator not in self._operators_that_failed:
                self._operators_that_failed.add(failure.operator)
                _log.warning(
                    "the operator %s failed, and what it was to propose was dropped: %s\n%s",
                    failure.operator,
                    failure.message,
                    failure.traceback.rstrip(),
                )
        counts = Counter(failure.operator for failure in failures)
        return {each.operator: {"count": counts[each.operator], "message": each.message} for each in failures}

    def _images(self, number: int) -> int | None:
        """The training budget of the next generation's children; None where it is the same for the whole run.

        It follows the speed of the generation before where it was not configured and neither rungs nor single asks need it fixed.
        """
        config, left_s, began_s = self.context.config, self.clock.left_s, self._asked_at_s
        self._asked_at_s = self.clock.used_s
        if left_s is None or config.budget.images_per_child is not None or config.asynchronous or self.context.rungs.enabled:
            return None
        most = self._child.images
        images = self.evaluator.budgets.get(number - 1, most)
        if began_s is None or number < 2:  # generation 0 is no measure: its networks are others, and more
            return images
        took_s, least = self.clock.used_s - began_s, LEAST_STEPS * self.context.trainer.batch_size
        planned = self._child.generations
        return images_that_fit(images, generation=number, planned=planned, took_s=took_s, left_s=left_s, least=least, most=most)

    def tell(self, candidate: Candidate, outcome: Outcome) -> None:
        """Let the strategy know what came of a candidate; what it knows, the predictions may use."""
        self.strategy.tell(outcome)
        if self.changes is not None:
            self.changes.learn(candidate, outcome)

    @property
    def room(self) -> int | None:
        """How many more candidates ``max_evaluations`` lets be trained; None where it does not say."""
        most = self.context.config.budget.max_evaluations
        return None if most is None else max(0, most - self.evaluator.evaluations - self.evaluator.training)

    def used_up(self) -> str | None:
        """Which of ``max_evaluations`` and the time is used up; None while neither is."""
        most = self.context.config.budget.max_evaluations
        if most is not None and self.evaluator.evaluations >= most:
            return f"{most} evaluations are done"
        return OUT_OF_TIME if self.is_over() else None

    def is_over(self, *, has_front: bool | None = None) -> bool:
        """Whether the time is used up and there is a front: however slow the machine, a search ends with one.

        Until the initial networks are done the search may use the time that is kept for training to the end.
        """
        has_front = self.evaluator.counts["finished"] > 0 if has_front is None else has_front
        return has_front and self.clock.is_over(0.0 if self._yardstick is not None else self._reserve_s)

    def wait_s(self) -> float:
        """How long to wait for a result before looking at the clock again."""
        return min(WAIT_S, self.clock.left_s or WAIT_S)

    def exhausted(self) -> str:
        """Why nothing was found by the last ask.

        Raises ConfigError where there is no front either because the limits let none be, as only measuring showed; they stay with
        the run, which so cannot go on. Raises WorkError where there is none for another reason.
        """
        event = self.store.last_event("ask", _Asked)
        asked: _Asked = _Asked() if event is None else event.payload
        nearest = asked.nearest
        message = "no new network was found" if nearest is None else impossible(self.context.limits, nearest)
        if asked.failed:
            reasons = (f"{name} ({failed.count} proposals): {failed.message}" for name, failed in asked.failed.items())
            message += f"; operators failed: {'; '.join(reasons)}"
        if self.front:
            return message
        if nearest is None:
            raise WorkError(message)
        folder = shlex.quote(str(self.store.folder))
        raise ConfigError(f"{message}, in a new run; what was measured in this one is kept: hwnas front {folder} --all")

    def refuse_no_start(self, outcomes: Sequence[Outcome]) -> None:
        """Raise WorkError where these outcomes, all of those asked for last, leave nothing to go on with."""
        if not self.front and all(outcome.status != "infeasible" for outcome in outcomes):
            failures = {outcome.failure.message for outcome in outcomes if outcome.failure is not None}
            raise WorkError(f"no initial network could be trained: {'; '.join(sorted(failures)) or 'the time was too short'}")

    def lay_hypervolume_box(self, initial: Sequence[Outcome]) -> None:
        """Lay the box that the hypervolume is measured in around the initial networks, once.

        Around the front where it has outlived them all: on another device they may be over a limit that their children keep.
        """
        if self._yardstick is None and self.front:
            finished = [outcome for outcome in initial if outcome.status == "finished"]
            first = finished or [self.evaluator.outcomes[member] for member in self.front]
            self._yardstick = HypervolumeBox.of(self.context.objectives, [outcome.values for outcome in first])

    def summarise(self, generation: int) -> None:
        """Store the summary of a generation, once."""
        if self.changes is not None:
            self.changes.report(generation)
        if generation not in self._summarised:
            summary = {"used_s": self.clock.used_s, "front": len(self.front), "hypervolume": self.hypervolume()}
            self.store.add_event("generation", summary, generation=generation)
            self.store.settle()
            self._summarised.add(generation)
            self._is_tidy = self.context.config.keep == "all"

    def tidy(self) -> None:
        """Collect once a generation where the front alone is kept; what is stored is told by now, or it would be lost."""
        if not self._is_tidy:
            self.collect()
            self._is_tidy = True

    def collect(self) -> None:
        """Delete the weights that are not to be kept, and what a killed session left; children to come need the
        strategy's ``needed``, readers the front's."""
        trained = {name for plan in plans(self.store) for name in trained_ids(plan)}
        self.store.collect("all" if self.context.config.keep == "all" else trained | set(self.front) | self.strategy.needed)
        if lost := self.store.unnamed_weights():
            _log.warning("%d files in weights/ are named by no outcome and are kept, the first is %s", len(lost), lost[0])

    def hypervolume(self) -> float | None:
        """The share of the box that the front dominates; None before there is one."""
        if self._yardstick is None or not self.front:
            return None
        return self._yardstick.hypervolume([self.evaluator.outcomes[member].values for member in self.front])

    def ended(self, reason: str) -> Ended:
        """The end of the session."""
        return Ended(reason=reason, trained=self.evaluator.trained, reused=self._reused)

    def report(self, phase: Phase, **changes: Any) -> None:
        """Let the listener know; what does not change is kept from the last report."""
        evaluator = self.evaluator
        # Of all that is trained, told to the strategy or not: a reader sees it move with each network.
        errors = (each.values["error"] for each in evaluator.outcomes.values() if each.status == "finished")
        changes |= {"best_error": min(errors, default=None), "trained": evaluator.trained}
        changes |= {"failed": evaluator.counts["failed"], "stopped": evaluator.counts["stopped_early"], "phase": phase}
        changes |= {"elapsed_s": self.clock.used_s, "left_s": self.clock.left_s}
        self._progress = dataclasses.replace(self._progress, **changes)
        self._listener(self._progress)

    def _cheap(self, graphs: Sequence[Graph]) -> list[Mapping[str, float]]:
        predictions: dict[str, Predict] = {}
        if self.latencies is not None:
            predictions["latency_ms"] = self.latencies.predicted_ms
        if self.changes is not None:
            predictions[EXPECTED_CHANGE] = self.changes.predict
        return [cheap_values(graph, predictions, self.context.graph_values) for graph in graphs]
