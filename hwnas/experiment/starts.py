"""The networks that a run begins with and that the user brings, weights and all; what the run keeps of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase

from hwnas.candidate import NEW_HEAD, START, Step
from hwnas.data import DataSet
from hwnas.errors import ConfigError
from hwnas.execution import pack
from hwnas.graph import Graph, architecture_id, from_json, to_json
from hwnas.importing import ImportedNetwork, NetworkSource, Normalisation, network_of
from hwnas.morphism.inheritance import Inheritance
from hwnas.store import RunStore, content_hash

META = "starts"


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """A network that a run begins with, and its ``weights`` in safetensors format.

    ``is_new``: its head is new, for other classes than it was trained for, so that it has to be trained before it is useful.
    ``seen``: the fingerprint of the data of whose training images it has seen no others; None: nobody knows what it has seen.
    """

    name: str
    graph: Graph
    weights: bytes
    is_new: bool = False
    seen: str | None = None

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
    seen: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Brought:
    """The networks that sources name, and what their images are normalised by, where a source says so.

    ``frozen`` are the tensors that no training changes, by their names in the graph.
    """

    starts: tuple[Start, ...] = ()
    normalisation: Normalisation | None = None
    frozen: tuple[str, ...] = ()

    def joined(self, other: "Brought") -> "Brought":
        """These and others. Raises ConfigError where two are of one architecture, or their images are normalised differently."""
        known: dict[str, str] = {}
        for start in (*self.starts, *other.starts):
            identity = architecture_id(start.graph)
            if identity in known:
                raise ConfigError(
                    f"{known[identity]} and {start.name} are networks of one architecture; begin with one of them, a search "
                    "knows an architecture once"
                )
            known[identity] = start.name
        if None not in (self.normalisation, other.normalisation) and self.normalisation != other.normalisation:
            names = " and ".join(brought.starts[0].name for brought in (self, other))
            raise ConfigError(f"{names} normalise images in different ways; begin with one of them, or say --normalisation")
        return Brought(
            starts=(*self.starts, *other.starts),
            normalisation=self.normalisation or other.normalisation,
            frozen=(*self.frozen, *other.frozen),
        )


def start_networks(sources: Sequence[NetworkSource], data: DataSet, freeze: Sequence[str] = ()) -> Brought:
    """The networks that sources name, for the data's images and classes; ``freeze`` are patterns of their tensors' own names.

    Raises RequestError.
    """
    if freeze and len(sources) != 1:
        raise ConfigError(f"freeze needs the one network whose tensors it names (--start), got {len(sources)}")
    channels, height, width = data.shape
    found = Brought()
    for source in sources:
        taken = network_of(source, channels=channels, height=height, width=width, classes=len(data.classes))
        start = Start(name=taken.name, graph=taken.graph, weights=pack(taken.state), is_new=taken.is_new)
        one = Brought(starts=(start,), normalisation=taken.normalisation, frozen=_matching(freeze, taken))
        found = found.joined(one)
    return found


def _matching(patterns: Sequence[str], network: ImportedNetwork) -> tuple[str, ...]:
    """The learnable tensors whose own names match a pattern. Raises ConfigError where one matches none, or all are matched."""
    own = {name: network.names[name] for name in network.graph.parameters() if name in network.names}
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in own.values()):
            near = get_close_matches(pattern, own.values(), n=3, cutoff=0.0)
            raise ConfigError(f"freeze: no tensor of {network.name} is called {pattern!r}; the nearest are {', '.join(near)}")
    found = tuple(name for name, called in own.items() if any(fnmatchcase(called, pattern) for pattern in patterns))
    if len(found) == len(network.graph.parameters()):
        raise ConfigError(f"freeze: {', '.join(patterns)} match every tensor of {network.name}, and nothing would be trained")
    return found


def as_facts(starts: Sequence[Start]) -> list[dict[str, object]]:
    """What a run keeps of the networks that it began with, beside their weights."""
    return [
        {
            "name": start.name,
            "graph": to_json(start.graph),
            "weights": content_hash(start.weights),
            "is_new": start.is_new,
            "seen": start.seen,
        }
        for start in starts
    ]


def stored_starts(store: RunStore) -> tuple[Start, ...]:
    """The networks that a run began with. Raises StoreError where their weights are damaged."""
    stored: Sequence[_Stored] = store.find_meta(META, list[_Stored]) or ()  # None: an older version brought none
    return tuple(
        Start(
            name=each.name, graph=from_json(each.graph), weights=store.weights(each.weights), is_new=each.is_new, seen=each.seen
        )
        for each in stored
    )
