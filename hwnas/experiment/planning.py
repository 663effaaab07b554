"""From what is asked for, or from the front that a search found, to a plan of trainings to the end."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter

from hwnas.candidate import Outcome
from hwnas.errors import ConfigError
from hwnas.execution import Executor
from hwnas.experiment.brought_teacher import keep_teacher
from hwnas.experiment.budget import time_limit_s
from hwnas.experiment.context import RunContext
from hwnas.experiment.final import EVENT, Goal, Plan, along_the_front, epochs_each, epochs_in_time, refuse_short
from hwnas.experiment.recipe import final_augmentation, final_trainer
from hwnas.experiment.teachers import ORIGINAL, refuse_unfit, teacher_asked_for, teachers_of
from hwnas.search.front import front_of
from hwnas.store import Row, RunStore

SEARCH = "search"  # the request of a plan that ends a search
MOST_EPOCHS = 10_000.0  # in a time budget, whatever is left of it
LEAST_S = 1e-9  # a step takes longer than that
S_PER_MAC = 5e-10  # forward and back, of a network that was never trained here: a core at some 6e9 MACs a second (our choice)
_plan = TypeAdapter(Plan)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Trainings to the end as a user asks for them.

    ``models`` are ids, or none for the front; each gets ``epochs``, or all together ``time_s``; None for both is the
    configuration's ``[final]``. ``inherits``: they start from their search's weights, not from new ones. ``teacher``: an id,
    ``best`` (of the run, for networks that it is clearly better than), ``original`` (the network that was brought, for those that
    descend from it and err more often), ``none``, or the name of a network from outside (``NetworkSource``).
    ``also_validation``: they are trained on the validation images, too, so that they have no validation error.
    """

    models: tuple[str, ...] = ()
    epochs: int | None = None
    time_s: float | None = None
    inherits: bool = True
    teacher: str = "original"
    also_validation: bool = False

    def __post_init__(self) -> None:
        if self.epochs is not None and self.epochs < 1:
            raise ConfigError(f"epochs must be at least 1, got {self.epochs}")
        if self.epochs is not None and self.time_s is not None:
            raise ConfigError("give the number of epochs or a time budget, not both")

    @property
    def request(self) -> str:
        """What was asked for, in one text: the same where it is asked for again."""
        also = ["also validation"] if self.also_validation else []
        return json.dumps([list(self.models), self.epochs, self.time_s, self.inherits, self.teacher, *also])


def plans(store: RunStore) -> list[Plan]:
    """The plans of a run so far."""
    return [event.payload for event in store.events(EVENT, Plan)]


def keep(store: RunStore, plan: Plan) -> Plan:
    """Store a plan, before the first of its trainings begins."""
    payload: dict[str, Any] = _plan.dump_python(plan, mode="json")
    store.add_event(EVENT, payload)
    return plan


def trained_ids(plan: Plan) -> tuple[str, ...]:
    """The candidates of a plan."""
    return tuple(f"t{plan.number}-{slot}" for slot in range(len(plan.goals)))


def is_done(store: RunStore, plan: Plan) -> bool:
    """Whether every training of a plan has an outcome."""
    ended = {row.id for row in store.rows() if row.is_trained and row.outcome is not None and row.outcome.status != "unfinished"}
    return ended.issuperset(trained_ids(plan))


def plan_after_search(context: RunContext, store: RunStore, executor: Executor, *, used_s: float) -> Plan | None:
    """The plan that ends a search: the one that was stored for what it found, else a new one; None where there is to be none."""
    rows = {row.id: row for row in store.rows() if not row.is_trained}
    outcomes = _ended(rows)
    earlier = plans(store)
    for plan in reversed(earlier):
        if (plan.request, plan.searched) == (SEARCH, len(outcomes)):
            return plan
    final, limit_s, left_s = context.config.final, time_limit_s(context.config.budget), None
    ordered = along_the_front({name: rows[name].values for name in front_of(outcomes, context.objectives)}, context.objectives)
    if limit_s is None and final.epochs is not None:
        epochs = (float(final.epochs),) * min(final.models, len(ordered))
    elif limit_s is not None and final.share > 0 and limit_s > used_s:
        left_s = limit_s - used_s
        seconds, most = [_epoch_s(rows[name], context) for name in ordered], float(final.epochs or final.most_epochs)
        epochs = epochs_in_time(seconds, left_s, workers=executor.workers, models=final.models, most=most)
    else:
        return None
    chosen = [rows[name] for name in ordered[: len(epochs)]]
    goals = _goals(
        context, chosen, epochs, teachers_of(ORIGINAL, None, chosen, context, store, rows), most=final.epochs or final.most_epochs
    )
    return _plan_of(context, goals, number=len(earlier), request=SEARCH, searched=len(outcomes), limit_s=left_s)


def plan_as_wanted(context: RunContext, store: RunStore, executor: Executor, wanted: Wanted) -> Plan | None:
    """The plan that was cut off where the same is asked for again, else a new one; None where all that is asked for is done.

    A teacher from outside is stored with it. Raises RequestError, and stores nothing, where it cannot be done as asked.
    """
    earlier, final = plans(store), context.config.final
    for plan in reversed(earlier):
        if plan.request == wanted.request and not is_done(store, plan):
            return plan
    rows = {row.id: row for row in store.rows()}
    front = front_of(_ended(rows), context.objectives)
    done = {goal.parent for plan in earlier if plan.request == wanted.request for goal in plan.goals}
    names = wanted.models or [name for name in front if not rows[name].is_trained]
    chosen = [rows[name] for name in names if name not in done]
    refuse_unfit(store, chosen, "trained to the end")
    if not chosen:
        return None
    most = float(wanted.epochs or final.epochs or final.most_epochs)
    epochs: tuple[float, ...] = (most,) * len(chosen)
    if wanted.time_s is not None:
        seconds = [_epoch_s(row, context) for row in chosen]
        epochs, most = epochs_each(seconds, wanted.time_s, executor.workers), math.inf
        refuse_short(seconds, wanted.time_s, epochs)
    teacher = teacher_asked_for(wanted.teacher, context, store, executor, rows, front)
    teachers = teachers_of(wanted.teacher, teacher, chosen, context, store, rows)
    goals = _goals(context, chosen, epochs, teachers, most=most, also_validation=wanted.also_validation)
    if teacher is not None and teacher.brought is not None:
        keep_teacher(store, teacher.brought)
    return _plan_of(
        context,
        goals,
        number=len(earlier),
        request=wanted.request,
        searched=len(_ended(rows)),
        limit_s=wanted.time_s,
        inherits=wanted.inherits,
        also_validation=wanted.also_validation,
    )


def _ended(rows: Mapping[str, Row]) -> list[Outcome]:
    return [row.outcome for row in rows.values() if row.outcome is not None and row.outcome.status != "unfinished"]


def _goals(
    context: RunContext,
    chosen: Sequence[Row],
    epochs: Sequence[float],
    teachers: Sequence[str | None],
    *,
    most: float,
    also_validation: bool = False,
) -> tuple[Goal, ...]:
    """A goal for each network; the validation images are so many more of each epoch where they are learned, too."""
    train = len(context.data.train)
    images = train + (len(context.data.validation) if also_validation else 0)
    return tuple(
        Goal(
            parent=row.id,
            images=max(1, round(times * images)),
            most=round(min(most, MOST_EPOCHS) * images),
            seconds_per_image=_epoch_s(row, context) / train,
            teacher=teacher,
        )
        for row, times, teacher in zip(chosen, epochs, teachers, strict=True)
    )


def _epoch_s(row: Row, context: RunContext) -> float:
    """The seconds in which a worker trains the network on all training images once, as its own training took them."""
    assert row.outcome is not None
    if not row.needed("images"):  # it came with its weights
        return max(row.needed("macs") * S_PER_MAC, LEAST_S) * len(context.data.train)
    return max(row.outcome.train_seconds / row.needed("images"), LEAST_S) * len(context.data.train)


def _plan_of(
    context: RunContext,
    goals: tuple[Goal, ...],
    *,
    number: int,
    request: str,
    searched: int,
    limit_s: float | None,
    inherits: bool = True,
    also_validation: bool = False,
) -> Plan | None:
    """A plan for these goals with the recipe that fits the data; None where there are none."""
    if not goals:
        return None
    trainer = final_trainer(context)
    if also_validation:  # no images are left by which the best state could be known, or that nothing is gained any more
        trainer = trainer.model_copy(update={"keep_best": False, "patience": 0.0})
    return Plan(
        number=number,
        request=request,
        searched=searched,
        inherits=inherits,
        trainer=trainer,
        augmentation=final_augmentation(context, min(goal.images for goal in goals)),
        goals=goals,
        limit_s=limit_s,
        also_validation=also_validation,
    )
