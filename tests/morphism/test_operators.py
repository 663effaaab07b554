from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hwnas.errors import MorphismError
from hwnas.graph import BatchNorm, Conv, Graph, architecture_id
from hwnas.morphism import OPERATORS, WITH_BOUNDING, Operator, Site, check_plan, from_json, morph, to_json
from tests.chains import EXACT, STARTS, chain, grown_graphs
from tests.graphs import SAMPLES
from tests.morphism.states import child_of, images_for, logits, state_for


def unfolded(graph: Graph) -> int:
    """How many batch norms a deployed network must compute, since no convolution of their own stands before them."""
    norms = [node.inputs[0] for node in graph if isinstance(node.op, BatchNorm)]
    return sum(not isinstance(graph[source].op, Conv) or len(graph.users[source]) > 1 for source in norms)


def check_step(operator: Operator, graph: Graph, site: Site, seed: int) -> Graph:
    """One application keeps every promise that needs no weights; making the child's graph has checked it."""
    step = operator.apply(graph, site, np.random.default_rng(seed))
    assert operator.apply(graph, site, np.random.default_rng(seed)) == step
    check_plan(graph, step.graph, step.inheritance)
    assert from_json(to_json(step.inheritance)) == step.inheritance
    assert step.inheritance.exact == operator.exact
    assert architecture_id(step.graph) != architecture_id(graph)
    assert step.graph.input == graph.input
    assert step.graph.classes == graph.classes
    assert unfolded(step.graph) <= unfolded(graph)
    return step.graph


@pytest.mark.parametrize("name", STARTS)
def test_every_site_of_every_start(name: str) -> None:
    graph = STARTS[name]()
    for operator in WITH_BOUNDING.values():
        sites = operator.sites(graph)
        assert len(set(sites)) == len(sites)
        for site in sites:
            check_step(operator, graph, site, seed=0)


@settings(deadline=None, derandomize=True, max_examples=60)
@given(graph=grown_graphs(), seed=st.integers(0, 1000))
def test_every_operator_on_graphs_that_operators_made(graph: Graph, seed: int) -> None:
    rng = np.random.default_rng(seed)
    for operator in WITH_BOUNDING.values():
        if sites := operator.sites(graph):
            check_step(operator, graph, sites[int(rng.integers(len(sites)))], seed)


@settings(deadline=None, derandomize=True, max_examples=30)
@given(name=st.sampled_from(sorted(STARTS)), seed=st.integers(0, 10_000))
def test_weights_follow_a_chain_of_any_operators(name: str, seed: int) -> None:
    start = STARTS[name]()
    images, _ = images_for(start, 16)
    steps = [step for _, step in chain(start, seed, 8)]
    child = child_of(state_for(start, images), steps, images)
    assert bool(torch.isfinite(logits(child, images)).all())


def test_chains_reach_every_operator() -> None:
    starts = [make() for make in STARTS.values()] * 3
    reached = Counter(name for seed, start in enumerate(starts) for name, _ in chain(start, seed, 8))
    assert set(reached) == set(OPERATORS)
    assert min(reached.values()) > 0.02 * reached.total(), reached


def test_operators_are_drawn_uniformly_among_those_with_a_site() -> None:
    graph = SAMPLES["residual"]()
    able = [name for name, operator in OPERATORS.items() if operator.sites(graph)]
    assert len(able) == len(OPERATORS)
    rng = np.random.default_rng(0)
    steps = [morph(graph, rng) for _ in range(900)]
    counts = Counter(step[0] for step in steps if step is not None)
    assert all(60 < counts[name] < 145 for name in able)  # 100 expected, four standard deviations
    assert morph(SAMPLES["flat"](), rng, [OPERATORS["remove_skip"]]) is None
    assert {name for name, _ in chain(graph, 0, 20, EXACT)} <= {operator.name for operator in EXACT}


@pytest.mark.parametrize("name", OPERATORS)
def test_an_operator_refuses_what_is_no_site(name: str) -> None:
    with pytest.raises(MorphismError, match=f"{name}: .* is no site"):
        OPERATORS[name].apply(SAMPLES["residual"](), Site((23, 99)), np.random.default_rng(0))
