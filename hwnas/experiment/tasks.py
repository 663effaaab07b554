"""From a candidate to the task that a worker is given."""

from collections.abc import Collection

from torch import Generator

from hwnas.candidate import NEW_HEAD, Candidate, Step, stream_seed
from hwnas.errors import MorphismError, WorkError
from hwnas.execution import EvaluationResult, EvaluationTask, Executor, Teacher, pack
from hwnas.experiment.context import RunContext
from hwnas.experiment.tuned import augmentation_of, trainer_of
from hwnas.graph import to_json
from hwnas.morphism.from_scratch import from_scratch
from hwnas.network import State, transfer
from hwnas.settings import TrainerSettings

HEAD_SHARE = 0.25  # of the steps of a network with a new head, as for a distillation (our choice)
# The first are slow: torch loads parts of itself on first use. Short ones fit between what else a machine does.
PROBE_STEPS = (32, 32, 48, 48, 48, 48, 48, 48)


def inherit(candidate: Candidate, parent: State, run_seed: int) -> State:
    """The child's own weights as its plans say; fresh ones from its own random stream.

    Raises MorphismError, whatever the reason, where a plan cannot be carried out.
    """
    generator = Generator().manual_seed(stream_seed(run_seed, candidate.id, "weights"))
    try:
        return transfer([(step.graph, step.inheritance) for step in candidate.steps], parent, generator)
    except Exception as error:  # plans may come from a user's own operator, and fail in any way
        what = f"the weights of {candidate.id} ({candidate.operator}) could not be inherited"
        raise MorphismError(f"{what}: {type(error).__name__}: {error}") from error


def task_for(
    candidate: Candidate,
    state: State,
    teacher: Teacher | None,
    context: RunContext,
    images: int,
    first: Collection[str] = (),
) -> EvaluationTask:
    """The task of training a candidate from its inherited ``state`` on ``images`` images; ``first`` begin alone."""
    return EvaluationTask(
        candidate_id=candidate.id,
        graph=to_json(candidate.graph),
        weights=pack(state),
        calibrated=candidate.calibrated,
        teacher=teacher,
        data=context.data_settings,
        data_fingerprint=context.data.fingerprint,
        trainer=trainer_of(candidate.training, _trainer(candidate, context)),
        augmentation=augmentation_of(candidate.training, context.augmentation_for(images)),
        images=images,
        seed=stream_seed(context.config.seed, candidate.id, "training"),
        objectives=context.of_trained,
        imports=context.config.imports,
        threads=context.config.torch_threads,
        first=tuple(sorted(first)),
    )


def _trainer(candidate: Candidate, context: RunContext) -> TrainerSettings:
    """The run's; the last layer of a network that brought all others begins alone."""
    is_new = candidate.operator == NEW_HEAD
    return context.trainer.model_copy(update={"head_share": HEAD_SHARE}) if is_new else context.trainer


def images_per_second(context: RunContext, executor: Executor) -> float:
    """How fast all workers together train a middling initial network while nothing else works on this machine.

    The best of several rounds, waiting for a core taken out: a budget holds for the whole run, and what disturbs passes.
    """
    graphs = context.initial or [start.graph for start in context.starts]
    graph = graphs[len(graphs) // 2]
    steps = (Step(operator="initial", graph=graph, inheritance=from_scratch(graph)),)
    best, workers = 0.0, executor.workers  # asked for once: a cluster may grow meanwhile
    for count in PROBE_STEPS:
        for worker in range(workers):
            candidate = Candidate(generation=0, slot=worker, steps=steps)
            images = count * context.trainer.batch_size
            executor.submit(task_for(candidate, inherit(candidate, {}, context.config.seed), None, context, images))
        results: list[EvaluationResult] = []
        while len(results) < workers:
            results += executor.wait()
        for result in results:
            if result.failure is not None:
                raise WorkError(f"a trial training failed: {result.failure.message}")
        best = max(best, sum(result.images / _own_seconds(result) for result in results))
    return best


def _own_seconds(result: EvaluationResult) -> float:
    """The seconds in which a training had its core; at least a tenth of all, whatever the system says of the rest."""
    return max(result.train_seconds - result.waited_seconds, 0.1 * result.train_seconds)
