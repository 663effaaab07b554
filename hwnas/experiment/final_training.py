"""Training to the end, as a plan says: the stage at work.

For each network of the plan, the longest training first:

1. It becomes a candidate of its own, whose parent is the network that it starts from; its latency is that of its architecture.
2. It is trained in parts of some seconds. After each part its checkpoint is on the disk, so that a kill costs that part alone.
3. Where the plan has a time limit, how many images a network still sees follows from the speed so far; that is stored before the
   part begins, so that one that is cut off is repeated exactly.
4. Its outcome is stored the moment it is done, and the checkpoint goes.
"""

import dataclasses
import math
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch

from hwnas.candidate import TRAINED_FROM, Candidate, Outcome, Step
from hwnas.execution import EvaluationResult, EvaluationTask, Executor, Teacher, pack, unpack
from hwnas.experiment.brought_teacher import stored_teacher
from hwnas.experiment.context import RunContext
from hwnas.experiment.device_model import DeviceModel
from hwnas.experiment.final import Goal, Plan
from hwnas.experiment.interrupt import Interrupt
from hwnas.experiment.latency import LatencySource
from hwnas.experiment.outcomes import UNUSABLE, failed, outcome_of, unusable
from hwnas.experiment.tasks import inherit, task_for
from hwnas.experiment.tuned import augmentation_of, final_trainer_of
from hwnas.graph import to_json
from hwnas.morphism.from_scratch import from_scratch
from hwnas.morphism.inheritance import Inheritance
from hwnas.network import State
from hwnas.store import RunStore

OPERATOR = "train"
PACE_EVENT = "final_pace"
PART_S = 20.0  # of training between two checkpoints
PARTS = 4  # of each network, at least, in a time limit
WAIT_S = 0.5
CLOSE = 0.05  # a number of images is changed where it is off by more than this share

Report = Callable[[int, int, str], None]
"""Told after each part: how many networks are done, of how many, and which is where."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pace:
    """What is read of an event ``final_pace``: after ``seen`` images a candidate is to see ``images`` in all."""

    candidate: str
    seen: int
    images: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Underway:
    """A network between two parts of its training: ``seen`` images so far, in ``train_seconds``."""

    goal: Goal
    candidate: Candidate
    values: Mapping[str, float]
    task: EvaluationTask
    seen: int = 0
    train_seconds: float = 0.0


class FinalTraining:
    """A plan at work in one session."""

    def __init__(
        self,
        *,
        context: RunContext,
        store: RunStore,
        executor: Executor,
        deployment: DeviceModel,
        latencies: LatencySource | None,
        interrupt: Interrupt,
        report: Report,
    ) -> None:
        self._context = context
        self._store = store
        self._executor = executor
        self._deployment = deployment
        self._latencies = latencies
        self._interrupt = interrupt
        self._report = report
        self._waiting: deque[tuple[Goal, Candidate]] = deque()
        self._training: dict[str, _Underway] = {}
        self._done = 0
        self._total = 0
        self._expected_s, self._measured_s = 0.0, 0.0  # of the parts trained in this session
        self._counted_to = -math.inf  # until when the time is counted that the plan has taken

    def run(self, plan: Plan) -> int:
        """Train what the plan has not trained yet; how many networks that were."""
        self._plan = plan
        self._used_s = self._store.find_meta(_used(plan), float) or 0.0
        pairs = list(zip(plan.goals, self._candidates(plan), strict=True))
        known = {candidate.id for _, candidate in pairs if _has_ended(self._store.outcome(candidate.id))}
        left = [pair for pair in pairs if pair[1].id not in known]
        self._waiting.extend(sorted(left, key=lambda pair: -pair[0].images * pair[0].seconds_per_image))
        self._done, self._total = len(known), len(pairs)
        while self._waiting or self._training:
            self._fill()
            for result in self._executor.wait(WAIT_S):
                self._take(result)
            self._interrupt.check()
        return len(left)

    def _candidates(self, plan: Plan) -> list[Candidate]:
        """The candidates of the plan, stored before anything is done with them."""
        stored = {row.slot: row.candidate for row in self._store.rows() if row.generation == TRAINED_FROM + plan.number}
        made = []
        for slot, goal in enumerate(plan.goals):
            parent = self._store.candidate(goal.parent)
            inheritance = Inheritance(exact=True) if plan.inherits else from_scratch(parent.graph)
            step = Step(operator=OPERATOR, graph=parent.graph, inheritance=inheritance)
            number = TRAINED_FROM + plan.number
            made.append(dataclasses.replace(parent, generation=number, slot=slot, parents=(parent.id,), steps=(step,)))
        self._store.add_candidates([each for each in made if each.slot not in stored])
        return made

    def _fill(self) -> None:
        """Give every worker that is free the next network."""
        while self._waiting and len(self._training) < self._executor.workers:
            underway = self._begin(*self._waiting.popleft())
            if underway is not None:
                self._submit(underway)

    def _begin(self, goal: Goal, candidate: Candidate) -> _Underway | None:
        """A network ready for its next part, from its checkpoint where it has one; None where it failed before."""
        state = self._state_of(goal.parent)
        values = dict(self._context.graph_values(candidate.graph))
        try:
            if self._latencies is not None:
                values |= self._latencies.values(candidate.graph, lambda: self._deployment.model(candidate.graph, state))
        except UNUSABLE as error:
            self._end(failed(candidate.id, unusable(error)), None)
            return None
        task = self._task(goal, candidate, inherit(candidate, state, self._context.config.seed))
        underway = _Underway(goal=goal, candidate=candidate, values=values, task=task)
        stored = self._store.checkpoint(candidate.id)
        return underway if stored is None else _from_bytes(underway, stored)

    def _task(self, goal: Goal, candidate: Candidate, state: State) -> EvaluationTask:
        task = task_for(candidate, state, self._teacher(goal.teacher), self._context, goal.images)
        plan = self._plan
        return dataclasses.replace(
            task,
            trainer=final_trainer_of(candidate.training, plan.trainer, self._context.trainer),
            augmentation=augmentation_of(candidate.training, plan.augmentation),
            metric=self._context.config.metric,
            also_validation=plan.also_validation,
        )

    def _teacher(self, teacher_id: str | None) -> Teacher | None:
        """The network of the run, or the one from outside, that has this id."""
        if teacher_id is None:
            return None
        brought = stored_teacher(self._store, teacher_id)
        if brought is not None:
            graph, weights = brought
            return Teacher(graph=graph, weights=weights)
        return Teacher(graph=to_json(self._store.candidate(teacher_id).graph), weights=pack(self._state_of(teacher_id)))

    def _state_of(self, candidate_id: str) -> State:
        outcome = self._store.outcome(candidate_id)
        assert outcome is not None
        assert outcome.weights is not None
        return unpack(self._store.weights(outcome.weights))

    def _submit(self, underway: _Underway) -> None:
        """Hand the next part to a worker."""
        size = self._plan.trainer.batch_size
        images = self._images(underway)
        part = max(size, round(self._part_s / self._seconds_per_image(underway) / size) * size)
        until = underway.seen + part
        # A last part that is hardly one is joined to the part before.
        task = dataclasses.replace(underway.task, images=images, until=None if until + part / 2 >= images else until)
        self._training[underway.candidate.id] = dataclasses.replace(underway, task=task)
        self._executor.submit(task)

    def _images(self, underway: _Underway) -> int:
        """How many images the network sees in all, as it stands: the plan's, or what its share of the time left allows."""
        planned, candidate_id = underway.task.images, underway.candidate.id
        limit_s = self._plan.limit_s
        if limit_s is None:
            return planned
        for event in self._store.events(PACE_EVENT, _Pace):
            if (event.payload.candidate, event.payload.seen) == (candidate_id, underway.seen):
                return int(event.payload.images)
        left_s = max(0.0, limit_s - self._used_s)
        own_s = max(1, planned - underway.seen) * self._seconds_per_image(underway)
        share = left_s * min(self._executor.workers / self._work_left_s(underway), 1 / own_s)  # it has one worker at a time
        size = self._plan.trainer.batch_size
        rest = math.floor((planned - underway.seen) * share / size) * size
        one_epoch = min(planned, len(self._context.data.train))  # which the plan promised to each, whatever the time
        images = max(underway.seen + size, one_epoch, min(underway.seen + rest, underway.goal.most))
        if abs(images - planned) <= CLOSE * planned:
            return planned
        payload = {"candidate": candidate_id, "seen": underway.seen, "images": images}
        self._store.add_event(PACE_EVENT, payload)
        return images

    @property
    def _part_s(self) -> float:
        """The seconds of a part: in a time limit several for each network, for its speed is known only behind its first part."""
        limit_s = self._plan.limit_s
        return PART_S if limit_s is None else min(PART_S, limit_s / (PARTS * self._total))

    def _work_left_s(self, underway: _Underway) -> float:
        """The seconds of one worker that all trainings together still take, by the speed so far."""
        others = [each for each in self._training.values() if each.candidate.id != underway.candidate.id]
        begun = [(each.task.images - each.seen) * self._seconds_per_image(each) for each in (underway, *others)]
        waiting = [goal.images * goal.seconds_per_image * self._slowness for goal, _ in self._waiting]
        return sum(begun) + sum(waiting)

    def _seconds_per_image(self, underway: _Underway) -> float:
        if underway.seen:
            return underway.train_seconds / underway.seen
        return underway.goal.seconds_per_image * self._slowness

    @property
    def _slowness(self) -> float:
        """How many times as long as expected the parts of this session took."""
        return self._measured_s / self._expected_s if self._expected_s else 1.0

    def _take(self, result: EvaluationResult) -> None:
        underway = self._training.pop(result.candidate_id)
        if result.failure is None:
            self._expected_s += (result.images - underway.seen) * underway.goal.seconds_per_image
            self._measured_s += result.train_seconds
        if result.checkpoint is not None:
            assert result.weights is not None
            underway = dataclasses.replace(
                underway,
                task=dataclasses.replace(underway.task, weights=result.weights, checkpoint=result.checkpoint, until=None),
                seen=result.images,
                train_seconds=underway.train_seconds + result.train_seconds,
            )
            self._store.set_checkpoint(result.candidate_id, _to_bytes(underway))
            self._submit(underway)
        else:
            outcome = outcome_of(
                result,
                graph=underway.candidate.graph,
                values=underway.values,
                context=self._context,
                deployment=self._deployment,
                train_seconds=underway.train_seconds,
                validated=not self._plan.also_validation,
            )
            self._end(outcome, None if outcome.weights is None else result.weights)
        now = time.monotonic()  # with as many at work as there may be: what two train at once counts once, starting workers not
        self._used_s += max(0.0, now - max(now - result.train_seconds, self._counted_to))
        self._counted_to = now
        self._store.set_meta(_used(self._plan), self._used_s)
        error = f", error {result.curve[-1].error:.2%}" if result.curve and result.curve[-1].error is not None else ""
        share = result.images / underway.task.images
        self._report(self._done, self._total, f"{result.candidate_id}: {min(share, 1):.0%}{error}".replace("%", " %"))

    def _end(self, outcome: Outcome, weights: bytes | None) -> None:
        self._store.add_outcome(outcome, weights)
        self._store.set_checkpoint(outcome.candidate_id, None)
        self._done += 1


def _used(plan: Plan) -> str:
    """The name under which a run keeps the seconds that a plan has taken so far."""
    return f"final_{plan.number}_used_s"


def _has_ended(outcome: Outcome | None) -> bool:
    return outcome is not None and outcome.status != "unfinished"


def _to_bytes(underway: _Underway) -> bytes:
    assert underway.task.checkpoint is not None
    held = {f"network.{name}": tensor for name, tensor in unpack(underway.task.weights).items()}
    held |= {f"training.{name}": tensor for name, tensor in unpack(underway.task.checkpoint).items()}
    numbers = torch.tensor((underway.seen, underway.train_seconds, underway.task.images), dtype=torch.float64)
    return pack(held | {"numbers": numbers})


def _from_bytes(underway: _Underway, stored: bytes) -> _Underway:
    """The network as ``_to_bytes`` left it."""
    held = unpack(stored)
    seen, train_seconds, images = held["numbers"].tolist()
    network, training = (
        pack({name.removeprefix(prefix): tensor for name, tensor in held.items() if name.startswith(prefix)})
        for prefix in ("network.", "training.")
    )
    task = dataclasses.replace(underway.task, weights=network, checkpoint=training, images=int(images))
    return dataclasses.replace(underway, task=task, seen=int(seen), train_seconds=train_seconds)
