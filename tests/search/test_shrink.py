"""Where nothing fits, the search goes back towards the limits, or says how near it came."""

import numpy as np
import pytest

from hwnas.graph import architecture_id
from hwnas.objective import Limit
from hwnas.search.shrink import SHRINKING, distance, shrink
from tests.search.test_lemonade import INITIAL, cheap, lemonade, outcome, run

SMALLEST = min(values["parameters"] for values in cheap(INITIAL))


def walked(graph, values, **options):
    return shrink(graph, values, cheap=cheap, rng=np.random.default_rng(0), on_failure=pytest.fail, **options)


def test_a_start_from_initial_networks_that_are_all_too_large():
    limit = Limit(objective="parameters", maximum=SMALLEST - 1)
    ask = lemonade(limits=[limit]).ask()
    assert ask.candidates
    assert ask.over_limit == {"parameters": len(INITIAL)}
    assert len({candidate.architecture_id for candidate in ask.candidates}) == len(ask.candidates)
    for candidate in ask.candidates:
        assert candidate.cheap["parameters"] <= limit.maximum
        assert (candidate.operator, candidate.parent) == ("initial", None)


def test_the_search_goes_on_within_tight_limits():
    limit = Limit(objective="parameters", maximum=SMALLEST - 1)
    strategy = lemonade(limits=[limit], proposals=2, accepted=2, seed=1)
    for ask in run(strategy, 6):
        assert all(candidate.cheap["parameters"] <= limit.maximum for candidate in ask.candidates)


def test_children_that_are_all_too_large_give_way_to_shrunk_members():
    sizes = cheap(INITIAL)
    limit = Limit(objective="macs", maximum=max(values["macs"] for values in sizes))
    for seed in range(20):
        strategy = lemonade(limits=[limit], proposals=1, accepted=1, seed=seed, initial=INITIAL[-1:])
        for candidate in strategy.ask().candidates:
            strategy.tell(outcome(candidate))
        ask = strategy.ask()
        if ask.over_limit:
            (candidate,) = ask.candidates
            assert candidate.parent == "g0-0"
            assert {step.operator for step in candidate.steps} <= set(SHRINKING)
            assert candidate.cheap["macs"] < limit.maximum
            return
    pytest.fail("no seed proposed a child over the limit")


def test_limits_that_nothing_meets_leave_the_nearest_values():
    ask = lemonade(limits=[Limit(objective="parameters", maximum=5)]).ask()
    assert ask.candidates == ()
    assert 5 < ask.nearest["parameters"] < SMALLEST


def test_a_walk_only_comes_nearer_and_stops_at_the_first_new_network():
    limits = [Limit(objective="macs", maximum=1000.0)]
    graph = INITIAL[-1]
    (values,) = cheap([graph])
    walk = walked(graph, values, limits=limits, is_new=lambda _: True)
    distances = [distance(limits, values), *(distance(limits, found) for found in cheap([step.graph for step in walk.steps]))]
    assert distances == sorted(distances, reverse=True)
    assert distances[-1] <= 1 < distances[-2]
    assert walk.arrived
    assert walk.values == cheap([walk.steps[-1].graph])[0]
    first = architecture_id(walk.steps[-1].graph)
    further = walked(graph, values, limits=limits, is_new=lambda g: architecture_id(g) != first)
    assert len(further.steps) > len(walk.steps)
