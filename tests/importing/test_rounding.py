"""A network that makes much of a rounding is taken if it is taken right; a wrong one is told from it, chaos from both."""

from dataclasses import replace

import pytest
import torch

from hwnas.errors import ModelError
from hwnas.graph import BatchNorm, Clip, Conv, Flatten, GlobalAvgPool, Graph, Input, Linear, Node, Op
from hwnas.importing.taken import TOLERANCE, Parity, parity, require_agreement
from hwnas.network import Network, State

IMAGES = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def growing(gain: float) -> tuple[Graph, State]:
    """A network each of whose layers makes more of the difference between two images, the more the larger ``gain`` is."""
    layers: list[Op] = [Conv(out_channels=8, kernel=3, padding=1), BatchNorm(eps=1e-3), Clip(low=-3.0, high=3.0)] * 11
    ops = [Input(channels=3, height=8, width=8), *layers, GlobalAvgPool(), Flatten(), Linear(out_features=4)]
    graph = Graph(tuple(Node(n, op, (n - 1,) if n > 1 else ()) for n, op in enumerate(ops, 1)), len(ops))
    generator = torch.Generator().manual_seed(0)
    state = {name: torch.randn(size, generator=generator) for name, size in graph.tensors().items()}
    for node in graph:
        if isinstance(node.op, BatchNorm):
            state[f"{node.id}.running_var"].fill_(30.0)
            state[f"{node.id}.running_mean"].zero_()
            state[f"{node.id}.weight"].fill_(gain)
    return graph, state


def compared(*, gain: float = 5.0, eps: float = 1e-3) -> Parity:
    """Such a network beside what it computes in float64; ``eps`` is that of the batch norms that were taken."""
    graph, state = growing(gain)
    with torch.no_grad():
        expected = Network(graph, state).eval().double()(IMAGES.double()).float()
    nodes = tuple(Node(n.id, replace(n.op, eps=eps), n.inputs) if isinstance(n.op, BatchNorm) else n for n in graph)
    return parity(Graph(nodes, graph.output), state, IMAGES, expected)


def test_what_rounding_alone_makes_agrees_and_a_wrong_layer_does_not() -> None:
    right, wrong = compared(), compared(eps=1e-5)
    assert right.relative > TOLERANCE  # else this tests nothing
    require_agreement(right, TOLERANCE, "wrong")
    with pytest.raises(ModelError, match=r"^wrong$"):
        require_agreement(wrong, TOLERANCE, "wrong")


def test_logits_that_are_rounding_are_not_compared() -> None:
    with pytest.raises(ModelError, match="bring trained weights"):
        require_agreement(compared(gain=40.0), TOLERANCE, "wrong")


def test_rounding_does_not_excuse_what_cannot_be_compared() -> None:
    graph, state = growing(5.0)
    for expected in (torch.full((2, 4), float("nan")), torch.zeros(2, 5), torch.zeros(2, 4)):
        with pytest.raises(ModelError, match=r"^wrong$"):
            require_agreement(parity(graph, state, IMAGES, expected), TOLERANCE, "wrong")
