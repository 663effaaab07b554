"""``hwnas train``: networks of a run trained to the end, as a user asks for them."""

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from hwnas.config import Budget
from hwnas.execution import Executor
from hwnas.execution.threads import one_thread
from hwnas.experiment.after_search import stored_front
from hwnas.experiment.budget import Clock
from hwnas.experiment.context import RunContext, assemble
from hwnas.experiment.device_model import DeviceModel
from hwnas.experiment.final import Plan
from hwnas.experiment.final_training import FinalTraining
from hwnas.experiment.finish import finish
from hwnas.experiment.interrupt import Interrupt
from hwnas.experiment.latency import latency_source
from hwnas.experiment.planning import Wanted, keep, plan_as_wanted, plans, trained_ids
from hwnas.experiment.run import executor_for, kept, refuse_other, rename_profile
from hwnas.models.loading import stored_config
from hwnas.progress.progress import Listener, Phase, Progress, silent
from hwnas.store import RunStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """What came of a training to the end: the candidates of its plan (none where nothing was left to do), and how many of them
    were trained in this session."""

    candidates: tuple[str, ...]
    trained: int


@one_thread()
def train(folder: Path, wanted: Wanted, *, workers: int | None = None, listener: Listener = silent) -> Trained:
    """Train networks of a run to the end; the same asked for again continues with what was cut off.

    Raises RequestError, and trains nothing, where that cannot be done as asked.
    """
    with RunStore.open(folder, write=True) as store:
        rename_profile(store)
        config = stored_config(store)
        config = config if workers is None else config.model_copy(update={"workers": workers})
        with closing(assemble(config, kept(store, remeasure=False))) as context:
            refuse_other(context, store, remeasure=False)
            with executor_for(context) as executor:
                plan = plan_as_wanted(context, store, executor, wanted)
                if plan is None:
                    return Trained(candidates=(), trained=0)
                if plan.number == len(plans(store)):
                    keep(store, plan)
                return _train(context, store, executor, plan, listener)


def _train(context: RunContext, store: RunStore, executor: Executor, plan: Plan, listener: Listener) -> Trained:
    """The plan at work, then the front measured finely and tested as at the end of a search."""
    latencies, deployment = latency_source(context, store), DeviceModel(context)
    clock = Clock(Budget(time=plan.limit_s, generations=0))

    def report(phase: Phase, done: int, total: int, message: str = "") -> None:
        used_s, left_s = clock.used_s, clock.left_s
        listener(Progress(phase=phase, generation=0, done=done, total=total, message=message, elapsed_s=used_s, left_s=left_s))

    report("preparing", 0, len(plan.goals))
    with Interrupt() as interrupt:
        stage = FinalTraining(
            context=context,
            store=store,
            executor=executor,
            deployment=deployment,
            latencies=latencies,
            interrupt=interrupt,
            report=lambda done, total, message: report("final", done, total, message),
        )
        trained = stage.run(plan)
    executor.close()
    front = stored_front(store, context.objectives)
    if plan.also_validation:  # they are on no front, for nothing tells their validation error: the test images are what is left
        front = (*front, *trained_ids(plan))
    report("finishing", 0, len(front))
    finish(
        context=context,
        store=store,
        latencies=latencies,
        front=front,
        deployment=deployment,
        report=lambda done: report("finishing", done, len(front)),
    )
    report("done", trained, trained)
    return Trained(candidates=trained_ids(plan), trained=trained)
