"""One evaluation: what a worker is given, what it does, what it gives back."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from hwnas.candidate import CurvePoint, Failure, FailureKind
from hwnas.data import Augmentation, DataSet, DataSettings, load, normalise
from hwnas.errors import DivergedError, HwnasError, StoreError
from hwnas.execution.worker import memory_limit, waited_s
from hwnas.graph import from_json
from hwnas.network import Network, State
from hwnas.objectives import TrainedObjective, called, source_named
from hwnas.settings.reference import import_modules
from hwnas.training import (
    CALIBRATION_IMAGES,
    Checkpoint,
    Evaluation,
    TrainerSettings,
    Training,
    calibrate,
    evaluate,
    train,
    training_device,
)

# How torch says so: its own allocators, and C++'s.
_OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "not enough memory", "bad_alloc", "bad allocation")


@dataclass(frozen=True, slots=True, kw_only=True)
class Teacher:
    """The parent of an approximate child: its graph as JSON and its weights as safetensors bytes."""

    graph: str
    weights: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationTask:
    """All that a worker needs, as bytes and settings: nothing of the run itself travels.

    ``weights`` are the child's own as inherited; ``calibrated`` the new batch norms; ``seed`` that of its training stream;
    ``images`` its training budget, 0 where it is evaluated as it is; ``data_fingerprint`` what the worker's copy of the
    data must have; ``objectives``: the names and references of those that are computed from the trained network; ``imports`` are
    modules that are imported first; ``threads`` are torch's.
    A child that is trained in parts stops ``until`` so many images are seen (None: all), and continues from the ``weights``
    and the ``checkpoint`` that the part before gave. ``first`` are the tensors that are trained alone while it learns from its
    teacher; none: all are. ``metric`` is by which error a training that keeps its best chooses. ``also_validation``: it is
    trained on the validation images, too, and not evaluated.
    """

    candidate_id: str
    graph: str
    weights: bytes
    calibrated: tuple[int, ...]
    teacher: Teacher | None
    data: DataSettings
    data_fingerprint: str
    trainer: TrainerSettings
    augmentation: Augmentation
    images: int
    seed: int
    objectives: tuple[str, ...] = ()
    imports: tuple[str, ...] = ()
    threads: int = 1
    until: int | None = None
    checkpoint: bytes | None = None
    metric: str = "error"
    also_validation: bool = False
    first: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationResult:
    """What came back: trained weights and their evaluation on the validation split, or a failure.

    ``images`` were seen so far, ``train_seconds`` are those of this part, ``waited_seconds`` those among them in which others had
    the worker's core; a training that is not at its end has a ``checkpoint``. Parts of one that keeps its best, which evaluates
    on its own, have no evaluation, nor has a network that learned the validation images. ``values`` are those of the task's
    objectives. ``curve`` is the learning curve so far.
    """

    candidate_id: str
    weights: bytes | None = None
    evaluation: Evaluation | None = None
    values: Mapping[str, float] = field(default_factory=dict)
    images: int = 0
    train_seconds: float = 0.0
    waited_seconds: float = 0.0
    failure: Failure | None = None
    checkpoint: bytes | None = None
    curve: tuple[CurvePoint, ...] = ()


def evaluate_task(task: EvaluationTask, memory_limit_mb: float | None = None) -> EvaluationResult:
    """Calibrate, (distil,) train and evaluate one candidate; what the worker holds anyway does not count in its memory limit.

    A failure that can be foreseen is a result, not an exception.
    """
    torch.set_num_threads(task.threads)
    try:
        import_modules(task.imports)
        data, objectives = _data(task.data), _objectives(task.objectives)
        device = training_device(task.trainer.device)
        torch.zeros(1, device=device)  # starts it: what a GPU's driver takes of this process is not the child's
        with memory_limit(memory_limit_mb):
            return _evaluate(task, data, objectives, device)
    except DivergedError as error:
        return _failed(task, Failure(kind="diverged", message=str(error)))
    except HwnasError as error:
        kind: FailureKind = "out_of_memory" if _is_out_of_memory(error.__cause__) else "work_failed"
        return _failed(task, Failure(kind=kind, message=str(error)))
    except MemoryError:
        return _failed(task, Failure(kind="out_of_memory", message="the worker ran out of memory"))
    except RuntimeError as error:
        if not _is_out_of_memory(error):
            raise
        return _failed(task, Failure(kind="out_of_memory", message=str(error).splitlines()[0]))


def prepare(settings: DataSettings) -> None:
    """Load the data, and the parts of torch that load on first use, ahead of the first task."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)  # of the whole process, so a worker's alone; dying networks are slow without
    torch.optim.SGD([torch.zeros(1)])
    _data(settings)


def pack(state: State) -> bytes:
    """A network's state as safetensors bytes."""
    return save_tensors(state)


def unpack(weights: bytes) -> State:
    """The state in safetensors bytes. Raises StoreError where they are not that."""
    try:
        return load_tensors(weights)
    except SafetensorError as error:
        raise StoreError(f"expected weights in safetensors format, got {len(weights)} bytes that are not: {error}") from None


@lru_cache(maxsize=2)
def _data(settings: DataSettings) -> DataSet:
    return load(settings)


@lru_cache(maxsize=1)
def _objectives(names: tuple[str, ...]) -> tuple[TrainedObjective, ...]:
    """The objectives of these names and references, with what they need, once in a worker."""
    found = [source_named(name) for name in names]
    chosen = tuple(source for source in found if isinstance(source, TrainedObjective))
    for source in chosen:
        source.prepare()
    return chosen


def _is_out_of_memory(error: BaseException | None) -> bool:
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _OUT_OF_MEMORY)


def _failed(task: EvaluationTask, failure: Failure) -> EvaluationResult:
    return EvaluationResult(candidate_id=task.candidate_id, failure=failure)


def _evaluate(
    task: EvaluationTask, data: DataSet, objectives: Sequence[TrainedObjective], device: torch.device
) -> EvaluationResult:
    if data.fingerprint != task.data_fingerprint:
        raise StoreError(f"the worker's data are not the run's: fingerprint {data.fingerprint}, not {task.data_fingerprint}")
    generator = torch.Generator().manual_seed(task.seed)
    network = Network(from_json(task.graph), unpack(task.weights)).to(device)
    teacher = None
    if task.teacher is not None:
        teacher = Network(from_json(task.teacher.graph), unpack(task.teacher.weights)).to(device).eval()
    checkpoint = None if task.checkpoint is None else Checkpoint.from_state(unpack(task.checkpoint))
    if task.calibrated and checkpoint is None:
        chosen = torch.randperm(len(data.train), generator=generator)[:CALIBRATION_IMAGES]
        calibrate(network, task.calibrated, normalise(data.train.images[chosen], data))
    waited = waited_s()
    learned = data.with_validation_in_training() if task.also_validation else data
    training = Training(images=0, seconds=0.0, loss=0.0)  # of a network that came with its weights
    if task.images:
        training = train(
            network,
            learned,
            settings=task.trainer,
            augmentation=task.augmentation,
            images=task.images,
            generator=generator,
            teacher=teacher,
            checkpoint=checkpoint,
            until=task.until,
            metric=task.metric,
            first=task.first,
        )
    waited = waited_s() - waited
    evaluation, curve = training.evaluation, training.curve
    is_evaluated = not task.also_validation and (training.checkpoint is None or not task.trainer.keep_best)
    if evaluation is None and is_evaluated:
        evaluation = evaluate(network, data, data.validation)
    if evaluation is not None and curve and curve[-1].error is None:
        curve = (*curve[:-1], dataclasses.replace(curve[-1], error=evaluation.by(task.metric)[0]))
    network = network.cpu()
    weights = pack(network.state())  # before a user's objective may touch them
    wanted = objectives if is_evaluated else ()
    values = {each.objective.name: called(each.objective, each.of_trained, network, data) for each in wanted}
    return EvaluationResult(
        candidate_id=task.candidate_id,
        weights=weights,
        evaluation=evaluation,
        values=values,
        images=training.images,
        train_seconds=training.seconds,
        waited_seconds=waited,
        checkpoint=None if training.checkpoint is None else pack(training.checkpoint.state()),
        curve=curve,
    )
