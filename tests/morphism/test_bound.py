"""Bounded activations: every one of a network, by a bound that changes something."""

import dataclasses
from collections import Counter

import numpy as np
import pytest
import torch

from hwnas.graph import Clip, Edit, Graph
from hwnas.morphism import OPERATORS, WITH_BOUNDING
from hwnas.morphism.bound import BoundActivations, bounded
from hwnas.network import Network
from tests.chains import STARTS
from tests.graphs import SAMPLES
from tests.morphism.states import assert_same_function, child_of, images_for, state_for

OPERATOR = BoundActivations()


def bounds(graph: Graph) -> list[float]:
    return [node.op.high for node in graph if isinstance(node.op, Clip)]


def test_it_is_no_operator_of_a_search_that_does_not_ask_for_it() -> None:
    assert set(WITH_BOUNDING) - set(OPERATORS) == {OPERATOR.name}


@pytest.mark.parametrize("name", STARTS)
def test_every_activation_is_bounded_and_nothing_else_changes(name: str) -> None:
    graph = STARTS[name]()
    only = dataclasses.replace(OPERATOR, bounds=(2.0,))
    child = only.apply(graph, only.sites(graph)[0], np.random.default_rng(0)).graph
    assert child == bounded(graph, 2.0)
    assert set(bounds(child)) == {2.0}
    assert [node.id for node in child] == [node.id for node in graph]
    assert child.tensors() == graph.tensors()
    assert OPERATOR.sites(child) == ()


def test_a_bound_is_drawn_among_those_that_tighten() -> None:
    graph = SAMPLES["residual"]()
    (site,) = OPERATOR.sites(graph)
    drawn = Counter(max(bounds(OPERATOR.apply(graph, site, np.random.default_rng(seed)).graph)) for seed in range(60))
    assert set(drawn) == {2.0, 4.0}
    assert min(drawn.values()) > 15
    again = {max(bounds(OPERATOR.apply(bounded(graph, 4.0), site, np.random.default_rng(seed)).graph)) for seed in range(9)}
    assert again == {2.0}


def test_tighter_activations_stay_as_they_are() -> None:
    graph = SAMPLES["residual"]()
    first = next(node.id for node in graph if isinstance(node.op, Clip))
    edit = Edit(graph)
    edit.replace(first, Clip(high=1.0))
    assert Counter(bounds(bounded(edit.done(), 2.0)))[1.0] == 1


def test_a_bound_that_nothing_exceeds_keeps_the_function() -> None:
    graph = SAMPLES["residual"]()
    images, _ = images_for(graph)
    state = state_for(graph, images)
    wide = dataclasses.replace(OPERATOR, bounds=(1e6,))
    step = wide.apply(graph, wide.sites(graph)[0], np.random.default_rng(0))
    assert_same_function(Network(graph, state), child_of(state, [step], images), images)
    tight = dataclasses.replace(OPERATOR, bounds=(1e-3,))
    step = tight.apply(graph, tight.sites(graph)[0], np.random.default_rng(0))
    with torch.no_grad():
        assert not torch.allclose(Network(graph, state).eval()(images), child_of(state, [step], images).eval()(images))
