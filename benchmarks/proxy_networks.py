"""Networks of every size and shape for resilience_proxy.py: grown from the initial ones by random morphisms, trained alike."""

from collections.abc import Sequence

import numpy as np
import torch

from hwnas.data import Augmentation, DataSet
from hwnas.graph import Graph, architecture_id, cost
from hwnas.morphism.catalogue import OPERATORS, morph
from hwnas.morphism.fresh import from_scratch
from hwnas.morphism.operator import Operator
from hwnas.network import Network, State, transfer
from hwnas.spaces import initial_graphs
from hwnas.training import TrainerSettings, train

SMALLEST, LARGEST = 60, 60_000  # parameters
GROWING = tuple(operator for operator in OPERATORS.values() if operator.exact)
MOST_STEPS = 120


def networks(count: int, shape: tuple[int, int, int], classes: int, seed: int = 0) -> list[Graph]:
    """Different networks whose parameters are spread evenly over the logarithm, smallest first.

    Each is an initial network that met random operators, growing ones until it had its size, then a few of any kind.
    """
    found: dict[str, Graph] = {}
    starts = sorted((graph for _, graph in initial_graphs(shape, classes)), key=lambda graph: cost(graph).parameters)
    for place, wanted in enumerate(np.geomspace(SMALLEST, LARGEST / 1.5, count)):
        rng = np.random.default_rng([seed, place])
        while True:
            smaller = [graph for graph in starts if cost(graph).parameters <= wanted] or starts[:1]
            graph = grown(smaller[int(rng.integers(len(smaller)))], wanted, rng)
            if SMALLEST / 2 <= cost(graph).parameters <= LARGEST and architecture_id(graph) not in found:
                found[architecture_id(graph)] = graph
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


def trained(graph: Graph, data: DataSet, images: int, seed: int) -> State:
    """Weights from scratch, by the same training for all. Raises DivergedError."""
    generator = torch.Generator().manual_seed(seed)
    network = Network(graph, transfer([(graph, from_scratch(graph))], {}, generator))
    train(network, data, settings=TrainerSettings(), augmentation=Augmentation(), images=images, generator=generator)
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
