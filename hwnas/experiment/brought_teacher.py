"""A network from outside as the teacher of trainings to the end; what the run keeps of it."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import torch

from hwnas.candidate import START, Candidate, Step
from hwnas.data import DataSet
from hwnas.errors import RequestError
from hwnas.execution import Executor, pack
from hwnas.experiment.context import RunContext
from hwnas.experiment.tasks import task_for
from hwnas.graph import BatchNorm, Edit, Graph, to_json
from hwnas.importing import NetworkSource, Normalisation, network_of
from hwnas.morphism.inheritance import Inheritance
from hwnas.network import State
from hwnas.store import RunStore, content_hash, give_weights

META = "teachers"


@dataclass(frozen=True, slots=True, kw_only=True)
class BroughtTeacher:
    """A network from outside that teaches: its weights in safetensors format, the share of the validation images it errs on.

    ``id`` is its name with a part of its weights' hash: another network of the same name is another teacher.
    """

    id: str
    graph: Graph
    weights: bytes
    error: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stored:
    """What a run's facts hold of such a teacher: its graph as JSON, its weights by content hash."""

    id: str
    graph: str
    weights: str


def bring(name: str, context: RunContext, executor: Executor) -> BroughtTeacher:
    """The network that ``name`` names, evaluated on the run's validation images; nothing is stored.

    It takes the images as the run normalises them; what its source normalises by is put before its first layer. Raises ModelError
    where there is no such network, RequestError where it cannot be evaluated.
    """
    channels, height, width = context.data.shape
    taken = network_of(NetworkSource(given=name), channels=channels, height=height, width=width)
    graph, state = taken.graph, taken.state
    if taken.normalisation is not None:
        graph, state = renormalised(graph, state, context.data, taken.normalisation)
    if graph.classes != len(context.data.classes):  # before images are wasted on it
        raise RequestError(
            f"the teacher {name} knows {graph.classes} classes, the data have {len(context.data.classes)}; choose another"
        )
    weights = pack(state)
    step = Step(operator=START, graph=graph, inheritance=Inheritance(exact=True))
    executor.submit(task_for(Candidate(generation=0, slot=0, steps=(step,)), state, None, context, 0))
    (result,) = executor.wait()
    if result.evaluation is None:
        why = "the worker gave no result" if result.failure is None else result.failure.message
        raise RequestError(f"the teacher {name} cannot be evaluated: {why}")
    error = result.evaluation.by(context.config.metric)[0]
    return BroughtTeacher(id=f"{name} ({content_hash(weights)[:8]})", graph=graph, weights=weights, error=error)


def keep_teacher(store: RunStore, teacher: BroughtTeacher) -> None:
    """Store a teacher, before the plan that names it."""
    if stored_teacher(store, teacher.id) is None:
        now = _Stored(id=teacher.id, graph=to_json(teacher.graph), weights=give_weights(store, teacher.weights))
        store.set_meta(META, [asdict(each) for each in (*_stored(store), now)])


def stored_teacher(store: RunStore, teacher_id: str) -> tuple[str, bytes] | None:
    """The graph (as JSON) and the weights of a stored teacher; None where none of this id was brought. Raises StoreError."""
    for each in _stored(store):
        if each.id == teacher_id:
            return each.graph, store.weights(each.weights)
    return None


def renormalised(graph: Graph, state: Mapping[str, torch.Tensor], data: DataSet, own: Normalisation) -> tuple[Graph, State]:
    """The network for images that are normalised as the data's, where it was trained with those normalised by its ``own``.

    A batch norm with fixed statistics comes first: exact, also at the borders, which a network pads after normalising.
    """
    mean, std = (torch.tensor(values, dtype=torch.float64) for values in own)
    ours, scale = (torch.tensor(values, dtype=torch.float64) for values in (data.mean, data.std))
    if torch.equal(mean.expand_as(ours), ours) and torch.equal(std.expand_as(scale), scale):
        return graph, dict(state)
    edit, op = Edit(graph), BatchNorm()
    first = edit.insert(op, graph.input.id)
    edit.redirect(graph.input.id, first, but=(first,))
    channels = len(ours)
    tensors = {
        "weight": (scale / std).expand(channels),
        "bias": ((ours - mean) / std).expand(channels),
        "running_mean": torch.zeros(channels),
        "running_var": torch.full((channels,), 1 - op.eps, dtype=torch.float64),
    }
    return edit.done(), {**state, **{f"{first}.{name}": tensor.float().contiguous() for name, tensor in tensors.items()}}


def _stored(store: RunStore) -> Sequence[_Stored]:
    found: Sequence[_Stored] = store.find_meta(META, list[_Stored]) or ()  # None: nobody taught from outside yet
    return found
