"""The sets of networks of resilience_proxy.py and topology_proxy.py: grown by random morphisms, trained alike."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from hwnas.data import Augmentation, DataSet, DataSettings
from hwnas.graph import Graph, architecture_id, cost
from hwnas.morphism.bound import bounded
from hwnas.morphism.catalogue import OPERATORS, morph
from hwnas.morphism.from_scratch import from_scratch
from hwnas.morphism.operator import Operator
from hwnas.network import Network, State, transfer
from hwnas.spaces import initial_graphs
from hwnas.training import TrainerSettings, train

CIFAR10 = Path(__file__).parents[2] / "shared" / "data" / "cifar10"
GROWING = tuple(operator for operator in OPERATORS.values() if operator.exact)
MOST_STEPS = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkSet:
    """``count`` networks of ``smallest`` to ``largest`` parameters, each trained on ``images`` images of ``data``.

    ``seed`` decides the networks and their trainings; those with a validation error above ``worst_error`` know too little to
    lose it and are left out. Faults are put into each of ``formats``. Every third network has its activations bounded by one of
    ``bounds``, in turn, where there are such.
    """

    data: DataSettings
    seed: int
    count: int
    smallest: int
    largest: int
    images: int
    batch_size: int
    worst_error: float
    formats: tuple[str, ...] = ("int8", "float32", "bfloat16")
    bounds: tuple[float, ...] = ()

    @property
    def is_here(self) -> bool:
        """Whether its data are on this machine."""
        return self.data.source == DataSettings().source or Path(self.data.source).exists()

    def training_seed(self, place: int) -> int:
        return 1000 * self.seed + place


SETS = {
    "explored": NetworkSet(
        data=DataSettings(), seed=0, count=64, smallest=60, largest=60_000, images=16_000, batch_size=16, worst_error=0.6
    ),
    "digits": NetworkSet(
        data=DataSettings(seed=1), seed=1, count=64, smallest=60, largest=60_000, images=16_000, batch_size=16, worst_error=0.6
    ),
    "cifar10": NetworkSet(
        data=DataSettings(source=str(CIFAR10)),
        seed=2,
        count=20,
        smallest=1000,
        largest=40_000,
        images=12_000,
        batch_size=32,
        worst_error=0.75,
        formats=("int8",),
    ),
    "cifar10_more": NetworkSet(
        data=DataSettings(source=str(CIFAR10)),
        seed=3,
        count=64,
        smallest=1000,
        largest=60_000,
        images=24_000,
        batch_size=32,
        worst_error=0.75,
        formats=("int8",),
    ),
    "fresh_digits": NetworkSet(
        data=DataSettings(seed=4),
        seed=4,
        count=64,
        smallest=60,
        largest=60_000,
        images=16_000,
        batch_size=16,
        worst_error=0.6,
        formats=("int8", "float32"),
        bounds=(2.0, 4.0),
    ),
    "fresh_cifar10": NetworkSet(
        data=DataSettings(source=str(CIFAR10)),
        seed=5,
        count=64,
        smallest=1000,
        largest=60_000,
        images=24_000,
        batch_size=32,
        worst_error=0.75,
        formats=("int8", "float32"),
        bounds=(2.0, 4.0),
    ),
}


def networks(chosen: NetworkSet, shape: tuple[int, int, int], classes: int, other_than: Iterable[Graph] = ()) -> list[Graph]:
    """Different networks whose parameters are spread evenly over the logarithm, smallest first.

    Each is an initial network that met random operators, growing ones until it had its size, then a few of any kind.
    """
    known = {architecture_id(graph) for graph in other_than}
    found: dict[str, Graph] = {}
    starts = sorted((graph for _, graph in initial_graphs(shape, classes)), key=lambda graph: cost(graph).parameters)
    for place, wanted in enumerate(np.geomspace(chosen.smallest, chosen.largest / 1.5, chosen.count)):
        rng = np.random.default_rng([chosen.seed, place])
        while True:
            smaller = [graph for graph in starts if cost(graph).parameters <= wanted] or starts[:1]
            graph = grown(smaller[int(rng.integers(len(smaller)))], wanted, rng)
            if chosen.bounds and place % 3 == 0:
                graph = bounded(graph, chosen.bounds[place // 3 % len(chosen.bounds)])
            identity = architecture_id(graph)
            if chosen.smallest / 2 <= cost(graph).parameters <= chosen.largest and identity not in known | found.keys():
                found[identity] = graph
                break
    return list(found.values())


def grown(graph: Graph, parameters: float, rng: np.random.Generator) -> Graph:
    """A network of about so many parameters, with skips, depth, width and kernels by chance."""
    for _ in range(MOST_STEPS):
        if cost(graph).parameters >= parameters:
            break
        graph = step(graph, rng, GROWING)
    for _ in range(int(rng.integers(4))):
        graph = step(graph, rng, tuple(OPERATORS.values()))
    return graph


def step(graph: Graph, rng: np.random.Generator, operators: Sequence[Operator]) -> Graph:
    made = morph(graph, rng, operators)
    return graph if made is None else made[1].graph


def trained(graph: Graph, data: DataSet, chosen: NetworkSet, place: int) -> State:
    """Weights from scratch, by the same training for all. Raises DivergedError."""
    generator = torch.Generator().manual_seed(chosen.training_seed(place))
    network = Network(graph, transfer([(graph, from_scratch(graph))], {}, generator))
    train(
        network,
        data,
        settings=TrainerSettings(batch_size=chosen.batch_size),
        augmentation=Augmentation(),
        images=chosen.images,
        generator=generator,
    )
    return network.state()


def depth(graph: Graph) -> int:
    """The largest number of layers with weights on a way from the image to the logits."""
    longest: dict[int, int] = {}
    for node in graph.nodes:
        behind = max((longest[source] for source in node.inputs), default=0)
        longest[node.id] = behind + (node.op.kind in ("conv", "linear"))
    return longest[graph.output]


def skips(graph: Graph) -> int:
    """How many adds and concatenations there are."""
    return sum(len(node.inputs) > 1 for node in graph.nodes)
