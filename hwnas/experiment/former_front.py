"""The front of an earlier run as what a new run begins with: its networks with their weights, and nothing that was measured."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hwnas.data import DataSet
from hwnas.errors import GraphError, ModelError, RequestError
from hwnas.execution import pack
from hwnas.experiment.starts import Brought, Start
from hwnas.graph import Edit, Graph, Input
from hwnas.importing.head import with_new_head
from hwnas.models.loading import stored_config, trained_state
from hwnas.network import State
from hwnas.objective import comparison_row
from hwnas.objectives import objectives_named
from hwnas.pareto.thinning import thinned
from hwnas.search.front import front_of
from hwnas.store import Row, RunStore


@dataclass(frozen=True, slots=True, kw_only=True)
class _Former:
    """What an earlier run's networks were made for."""

    folder: Path
    classes: tuple[str, ...]
    shape: tuple[int, int, int]
    data_fingerprint: str


def former_front(folder: Path, most: int, data: DataSet) -> Brought:
    """Up to ``most`` networks of a run's front, spread along it, for the data's images and classes.

    Where the classes are others the head is new; where the images have another size, networks that cannot take it are left out.
    Raises RequestError where there is none that can be taken.
    """
    with RunStore.open(folder, write=False) as store:
        rows = _members(store, most)
        former = _Former(
            folder=folder,
            classes=tuple(store.meta("classes", list[str])),
            shape=store.meta("shape", tuple[int, int, int]),
            data_fingerprint=store.meta("data_fingerprint", str),
        )
        if former.shape[0] != data.shape[0]:
            raise RequestError(
                f"the networks of {folder} take images of {former.shape[0]} channels, the data have {data.shape[0]}: bring the "
                "images to that many, or start a search of their own"
            )
        starts, refused = [], []
        for row in rows:
            try:
                starts.append(_start(row, trained_state(store, row), former, data))
            except (GraphError, ModelError) as error:
                refused.append(f"{row.id}: {error}")
        normalisation = tuple(store.meta("mean", list[float])), tuple(store.meta("std", list[float]))
    if not starts:
        raise RequestError(f"no network of {folder} can take these images: {'; '.join(refused)}")
    return Brought(starts=tuple(starts), normalisation=normalisation)


def _members(store: RunStore, most: int) -> list[Row]:
    """Members of the front whose weights are there, each architecture once. Raises RequestError where there is none."""
    config = stored_config(store)
    objectives = objectives_named(config.objectives, config.max_error, config.metric, config.limits)
    rows = {row.id: row for row in store.rows() if row.outcome is not None}
    front = [rows[name] for name in front_of([row.outcome for row in rows.values() if row.outcome is not None], objectives)]
    if not front:
        raise RequestError(f"{store.folder} has no front to begin with: no network of it finished")
    there = [row for row in front if row.outcome and row.outcome.weights and store.has_weights(row.outcome.weights)]
    once = list({row.architecture_id: row for row in reversed(there)}.values())[::-1]  # the more accurate of two stays
    if not once:
        raise RequestError(f"the weights of the front of {store.folder} were deleted, so that nothing is left to begin with")
    values = [comparison_row(row.values, objectives) for row in once]
    return [once[place] for place in thinned(values, most, log=[objective.log_scale for objective in objectives])]


def _start(row: Row, state: State, former: _Former, data: DataSet) -> Start:
    """A network for the data. Raises GraphError where it cannot take their images, ModelError where its head cannot be new."""
    graph = row.candidate.graph
    if former.shape != data.shape:
        graph = _resized(graph, data.shape)
    is_new = former.classes != data.classes
    if is_new:
        graph, state = with_new_head(graph, state, len(data.classes))
    return Start(name=f"{former.folder}: {row.id}", graph=graph, weights=pack(state), is_new=is_new, seen=former.data_fingerprint)


def _resized(graph: Graph, shape: Sequence[int]) -> Graph:
    channels, height, width = shape
    edit = Edit(graph)
    edit.replace(graph.input.id, Input(channels=channels, height=height, width=width))
    return edit.done()
