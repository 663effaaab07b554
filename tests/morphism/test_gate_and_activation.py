"""The two operators that are drawn only where they are asked for: a gate that begins at one, and hard-swish for ReLU."""

import numpy as np
import pytest
import torch

from hwnas.graph import HardSwish, Multiply, cost
from hwnas.morphism import check_plan
from hwnas.morphism.insert_gate import InsertGate
from hwnas.morphism.swap_activation import SwapActivation
from hwnas.network import Network
from tests.chains import STARTS
from tests.morphism.states import assert_same_function, child_of, images_for, logits, state_for, training_loss

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("name", ["plain", "residual", "separable", "dense"])
def test_a_gate_begins_at_one_and_learns(name: str) -> None:
    start = STARTS[name]()
    pictures, labels = images_for(start, 64)
    state = state_for(start, pictures)
    sites = InsertGate().sites(start)
    assert sites
    for site in sites[:3]:
        step = InsertGate().apply(start, site, RNG)
        check_plan(start, step.graph, step.inheritance)
        child = child_of(state, [step], pictures)
        assert_same_function(Network(start, state), child, pictures)
        assert training_loss(Network(start, state), pictures, labels) == pytest.approx(
            training_loss(child, pictures, labels), rel=1e-4
        )
        new = [key for key in step.graph.parameters() if key not in start.tensors()]
        optimiser = torch.optim.SGD(child.train().parameters(), lr=0.1)
        moved = dict.fromkeys(new, False)
        for _ in range(2):
            before = {key: child.state()[key] for key in new}
            optimiser.zero_grad()
            torch.nn.functional.cross_entropy(child(pictures), labels).backward()
            optimiser.step()
            moved = {key: moved[key] or not torch.equal(before[key], child.state()[key]) for key in new}
        assert all(moved.values()), moved


def test_a_gated_map_is_not_gated_again() -> None:
    start = STARTS["plain"]()
    site = InsertGate().sites(start)[0]
    child = InsertGate().apply(start, site, RNG).graph
    assert sum(isinstance(node.op, Multiply) for node in child) == 1
    gated = next(node.id for node in child if isinstance(node.op, Multiply))
    assert not {(site.nodes[0],), (gated,)} & {each.nodes for each in InsertGate().sites(child)}
    assert cost(child).parameters > cost(start).parameters


@pytest.mark.parametrize("name", ["plain", "residual"])
def test_hard_swish_takes_the_place_of_one_relu(name: str) -> None:
    start = STARTS[name]()
    pictures, _ = images_for(start, 16)
    state = state_for(start, pictures)
    for site in SwapActivation().sites(start):
        step = SwapActivation().apply(start, site, RNG)
        assert [node.id for node in step.graph if isinstance(node.op, HardSwish)] == list(site.nodes)
        assert bool(torch.isfinite(logits(child_of(state, [step], pictures), pictures)).all())
