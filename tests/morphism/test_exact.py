import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwnas.graph import Graph
from hwnas.morphism import OPERATORS, Morphed
from hwnas.network import Network
from tests.chains import EXACT, STARTS, chain
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
def test_alone(operator, name: str) -> None:
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


def test_a_relu_is_inserted_only_where_it_changes_nothing() -> None:
    insert = OPERATORS["insert_convolution"]
    start = STARTS["residual"]()
    with_relu = {}
    for site in insert.sites(start):
        child = insert.apply(start, site, np.random.default_rng(0)).graph
        with_relu[site.nodes[0]] = sum(node.op.kind == "clip" for node in child) > sum(node.op.kind == "clip" for node in start)
    assert with_relu == {4: True, 7: True, 9: False, 11: True, 14: True, 16: False, 18: False, 20: True}
