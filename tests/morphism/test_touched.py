"""What an operator touched is what it wrote and what reads something else now; the rest of a child is its parent's."""

import numpy as np
import pytest

from hwnas.morphism.catalogue import OPERATORS
from hwnas.morphism.inheritance import written
from hwnas.morphism.touched import touched
from tests.graphs import SAMPLES

APPROXIMATE = sorted(name for name, operator in OPERATORS.items() if not operator.exact)


@pytest.mark.parametrize("name", APPROXIMATE)
@pytest.mark.parametrize("sample", SAMPLES)
def test_what_was_not_touched_reads_and_holds_what_it_did(name: str, sample: str) -> None:
    graph, operator, rng = SAMPLES[sample](), OPERATORS[name], np.random.default_rng(0)
    for site in operator.sites(graph)[:4]:
        made = operator.apply(graph, site, rng)
        found = touched(graph, [(made.graph, made.inheritance)])
        parameters = made.graph.parameters()
        assert found <= set(parameters)
        assert {n for record in made.inheritance.records for n in written(record)} & set(parameters) <= found
        for name_of in set(parameters) - found:
            node = int(name_of.split(".")[0])
            assert made.graph[node] == graph[node]
            assert graph.parameters()[name_of] == parameters[name_of]
        if found != set(parameters):
            assert found or not set(parameters)


def test_behind_a_removed_layer_the_next_one_with_weights_is_touched() -> None:
    graph, operator = SAMPLES["plain"](), OPERATORS["remove_layer"]
    site = operator.sites(graph)[0]
    made = operator.apply(graph, site, np.random.default_rng(0))
    found = touched(graph, [(made.graph, made.inheritance)])
    assert found
    assert found < set(made.graph.parameters())


def test_of_several_steps_all_that_any_touched_and_that_is_left() -> None:
    graph, rng, steps = SAMPLES["residual"](), np.random.default_rng(1), []
    before = graph
    for operator in ("prune", "separable") if {"prune", "separable"} <= set(OPERATORS) else APPROXIMATE[:2]:
        sites = OPERATORS[operator].sites(before)
        made = OPERATORS[operator].apply(before, sites[0], rng)
        steps.append((made.graph, made.inheritance))
        before = made.graph
    both = touched(graph, steps)
    last = touched(steps[0][0], steps[1:])
    assert last <= both <= set(before.parameters())


def test_no_step_touches_nothing() -> None:
    graph = SAMPLES["plain"]()
    assert touched(graph, []) == frozenset()
