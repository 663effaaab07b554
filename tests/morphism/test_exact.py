import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Generator, Tensor
from torch.nn.functional import cross_entropy

from hwnas.graph import Graph
from hwnas.morphism import OPERATORS, Morphed, Site
from hwnas.network import Network, State, transfer
from tests.chains import EXACT, STARTS, chain
from tests.graphs import Builder
from tests.morphism.states import assert_same_function, child_of, images_for, state_for, training_loss


def check_exact(start: Graph, steps: list[Morphed], seed: int) -> None:
    """Eval mode and, on a batch that calibration did not see, training mode: the child does what its parent does."""
    images, labels = images_for(start, 256, seed)
    seen, batch = images[:192], images[192:]
    state = state_for(start, seen, seed)
    parent, child = Network(start, state), child_of(state, steps, seen)
    assert_same_function(parent, child, images)
    before, after = training_loss(parent, batch, labels[192:]), training_loss(child, batch, labels[192:])
    assert math.isclose(before, after, rel_tol=0.1), (before, after)


@pytest.mark.parametrize("operator", EXACT, ids=lambda operator: operator.name)
@pytest.mark.parametrize("name", STARTS)
def test_alone(operator, name: str) -> None:  # type: ignore[no-untyped-def]
    start = STARTS[name]()
    sites = operator.sites(start)
    rng = np.random.default_rng(0)
    for index in rng.permutation(len(sites))[:3]:
        check_exact(start, [operator.apply(start, sites[index], rng)], seed=0)


@settings(deadline=None, derandomize=True, max_examples=50)
@given(name=st.sampled_from(sorted(STARTS)), seed=st.integers(0, 10_000))
def test_in_chains_of_eight(name: str, seed: int) -> None:
    start = STARTS[name]()
    steps = [step for _, step in chain(start, seed, 8, EXACT)]
    assert len(steps) == 8
    check_exact(start, steps, seed)


def new_entries(state: State, step: Morphed) -> State:
    """Which entries of the child's tensors no tensor of the parent gave: those that a parent of NaN leaves finite."""
    unknown = {name: torch.full_like(tensor, math.nan) for name, tensor in state.items()}
    child = transfer([(step.graph, step.inheritance)], unknown, Generator().manual_seed(0))
    return {name: tensor.isfinite() for name, tensor in child.items()}


def learnt_within_two_steps(network: Network, images: Tensor, labels: Tensor) -> State:
    alive = {name: torch.zeros_like(tensor, dtype=torch.bool) for name, tensor in network.named_parameters()}
    optimiser = torch.optim.SGD(network.parameters(), lr=0.05)
    network.train()
    for _ in range(2):
        optimiser.zero_grad()
        cross_entropy(network(images), labels).backward()
        for name, tensor in network.named_parameters():
            assert tensor.grad is not None
            alive[name] |= tensor.grad != 0
        optimiser.step()
    return alive


@settings(deadline=None, derandomize=True, max_examples=60)
@given(name=st.sampled_from(sorted(STARTS)), operator=st.sampled_from(EXACT), seed=st.integers(0, 10_000))
def test_every_new_weight_learns(name: str, operator, seed: int) -> None:  # type: ignore[no-untyped-def]
    start = STARTS[name]()
    images, labels = images_for(start, seed=seed)
    state = state_for(start, images, seed)
    for _, step in chain(start, seed, 1, [operator]):
        new = new_entries(state, step)
        alive = learnt_within_two_steps(child_of(state, [step], images), images, labels)
        for tensor in alive:
            wanted, learnt = new[tensor], alive[tensor]
            if wanted.dim() == 4 and operator.name in ("widen", "skip_concat"):
                # A strided start may hold kernel weights that only ever meet padding; its new filters have them too.
                wanted, learnt = wanted.flatten(2).all(2), learnt.flatten(2).any(2)
            # What a morphism kills it kills as a whole. But a channel or pixel that a ReLU of the parent silences for this whole
            # batch teaches nothing either: of a tensor's new weights nearly all must learn.
            node = step.graph[int(tensor.split(".")[0])]
            assert not wanted.any() or learnt[wanted].double().mean() > 0.8, f"{tensor} of {node}"


def test_skips_that_could_not_learn_are_no_sites() -> None:
    b = Builder(2, 1, 1)
    b.conv(4, kernel=1)
    assert OPERATORS["skip_add"].sites(b.head()) == ()  # the global average of one pixel is that pixel
    start = STARTS["residual"]()
    there = OPERATORS["skip_add"].apply(start, Site((7, 4)), np.random.default_rng(0)).graph
    again = {site.nodes for site in OPERATORS["skip_add"].sites(there)}
    assert not again & {(7, 4), (there.users[7][0], 4), (there.users[7][0], 7)}


def test_a_relu_is_inserted_only_where_it_changes_nothing() -> None:
    insert = OPERATORS["insert_convolution"]
    start = STARTS["residual"]()
    with_relu = {}
    for site in insert.sites(start):
        child = insert.apply(start, site, np.random.default_rng(0)).graph
        with_relu[site.nodes[0]] = sum(node.op.kind == "clip" for node in child) > sum(node.op.kind == "clip" for node in start)
    assert with_relu == {4: True, 7: True, 9: False, 11: True, 14: True, 16: False, 18: False, 20: True}
