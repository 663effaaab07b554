"""The last stage of a search: some of its front are trained to the end."""

from collections.abc import Sequence

from hwnas.experiment.final_training import FinalTraining
from hwnas.experiment.interrupt import Interrupt
from hwnas.experiment.planning import keep, plan_after_search, plans
from hwnas.experiment.session import Session
from hwnas.objective import Objective
from hwnas.search.front import front_of
from hwnas.store import RunStore


def train_front(session: Session, interrupt: Interrupt) -> None:
    """Train to the end what the run's plan says, made now where there is none for what the search found; nothing where the
    configuration does not ask for it."""
    context, store = session.context, session.store
    plan = plan_after_search(context, store, session.executor, used_s=session.clock.used_s)
    if plan is None:
        return
    if plan.number == len(plans(store)):
        keep(store, plan)
    FinalTraining(
        context=context,
        store=store,
        executor=session.executor,
        deployment=session.deployment,
        latencies=session.latencies,
        interrupt=interrupt,
        report=lambda done, total, message: session.report("final", done=done, total=total, message=message),
    ).run(plan)


def stored_front(store: RunStore, objectives: Sequence[Objective]) -> tuple[str, ...]:
    """Ids of the front of all that a run holds, what was trained to the end among it, best error first."""
    return front_of([row.outcome for row in store.rows() if row.outcome is not None], objectives)
