"""A promise that is kept, or an AssertionError that says which one is not; and the networks that promises are tried on."""

from collections.abc import Sequence

import numpy as np
import torch

from hwnas.graph import Graph
from hwnas.morphism import OPERATORS, Operator
from hwnas.morphism.from_scratch import from_scratch
from hwnas.network import State, transfer
from hwnas.spaces import initial_graphs

SHAPE, CLASSES = (1, 8, 8), 10  # of the digits that scikit-learn brings


def promise(kept: bool, what: str) -> None:
    """Raise AssertionError unless the promise is kept."""
    if not kept:
        raise AssertionError(what)


def sample_graphs() -> list[Graph]:
    """Networks for digits: those that a search begins with, plain, separable, pooled and flattened, and two with skips."""
    graphs = [graph for _, graph in initial_graphs(SHAPE, CLASSES)]
    return [*graphs, *(_with_skip(graphs, OPERATORS[name]) for name in ("skip_add", "skip_concat"))]


def _with_skip(graphs: Sequence[Graph], operator: Operator) -> Graph:
    graph, site = next((graph, site) for graph in graphs for site in operator.sites(graph))
    return operator.apply(graph, site, np.random.default_rng(0)).graph


def fresh_state(graph: Graph, seed: int = 0) -> State:
    """Tensors of a network that was not trained."""
    return transfer([(graph, from_scratch(graph))], {}, torch.Generator().manual_seed(seed))
