"""The networks that a run begins with and that the user brings, weights and all; what the run keeps of them."""

from collections.abc import Sequence
from dataclasses import dataclass

from hwnas.candidate import NEW_HEAD, START, Step
from hwnas.data import DataSet
from hwnas.errors import ConfigError
from hwnas.execution import pack
from hwnas.graph import Graph, architecture_id, from_json, to_json
from hwnas.importing import NetworkSource, Normalisation, network_of
from hwnas.morphism.inheritance import Inheritance
from hwnas.store import RunStore, content_hash

META = "starts"


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """A network that a run begins with, and its ``weights`` in safetensors format.

    ``is_new``: its head is new, for other classes than it was trained for, so that it has to be trained before it is of use.
    """

    name: str
    graph: Graph
    weights: bytes
    is_new: bool = False

    @property
    def step(self) -> Step:
        """The first step of the candidate that it is: every tensor is as it was brought."""
        return Step(operator=NEW_HEAD if self.is_new else START, graph=self.graph, inheritance=Inheritance(exact=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stored:
    """What a run's facts hold of a start: its graph as JSON, its weights by content hash."""

    name: str
    graph: str
    weights: str
    is_new: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Brought:
    """The networks that sources name, and what their images are normalised by, where a source says so."""

    starts: tuple[Start, ...] = ()
    normalisation: Normalisation | None = None


def start_networks(sources: Sequence[NetworkSource], data: DataSet) -> Brought:
    """The networks that sources name, for the data's images and classes. Raises RequestError."""
    channels, height, width = data.shape
    found: dict[str, Start] = {}
    normalisations: dict[str, Normalisation] = {}
    for source in sources:
        taken = network_of(source, channels=channels, height=height, width=width, classes=len(data.classes))
        identity = architecture_id(taken.graph)
        if identity in found:
            raise ConfigError(
                f"{found[identity].name} and {taken.name} are networks of one architecture; begin with one of them, a search "
                "knows an architecture once"
            )
        found[identity] = Start(name=taken.name, graph=taken.graph, weights=pack(taken.state), is_new=taken.is_new)
        if taken.normalisation is not None:
            normalisations[taken.name] = taken.normalisation
    if len(set(normalisations.values())) > 1:
        raise ConfigError(
            f"{' and '.join(normalisations)} normalise images in different ways; begin with one of them, or say --normalisation"
        )
    return Brought(starts=tuple(found.values()), normalisation=next(iter(normalisations.values()), None))


def as_facts(starts: Sequence[Start]) -> list[dict[str, object]]:
    """What a run keeps of the networks that it began with, beside their weights."""
    return [
        {"name": start.name, "graph": to_json(start.graph), "weights": content_hash(start.weights), "is_new": start.is_new}
        for start in starts
    ]


def stored_starts(store: RunStore) -> tuple[Start, ...]:
    """The networks that a run began with. Raises StoreError where their weights are damaged."""
    stored: Sequence[_Stored] = store.find_meta(META, list[_Stored]) or ()  # None: an older version brought none
    return tuple(
        Start(name=each.name, graph=from_json(each.graph), weights=store.weights(each.weights), is_new=each.is_new)
        for each in stored
    )
