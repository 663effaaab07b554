"""Successive halving over several objectives."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwnas.errors import ConfigError
from hwnas.objectives import objectives_named
from hwnas.search import AsyncRungs, Rungs, promoted

OBJECTIVES = objectives_named(("error", "parameters", "latency_ms"))
VALUES = st.fixed_dictionaries(
    {
        "error": st.integers(0, 10).map(lambda value: value / 10),
        "parameters": st.integers(1, 5).map(lambda value: 10.0**value),
        "latency_ms": st.floats(0.01, 1.0),
    }
)
REACHED = st.lists(VALUES, max_size=12).map(lambda values: {f"g1-{slot}": value for slot, value in enumerate(values)})


def dominates(one, other):
    names = [objective.name for objective in OBJECTIVES]
    return all(one[name] <= other[name] for name in names) and any(one[name] < other[name] for name in names)


@settings(deadline=None)
@given(reached=REACHED, keep=st.floats(0.01, 0.99), data=st.data())
def test_the_best_go_on_whatever_the_order_of_arrival(reached, keep, data):
    chosen = promoted(reached, OBJECTIVES, keep)
    stopped = reached.keys() - chosen
    assert keep * len(reached) <= len(chosen) < keep * len(reached) + 1
    assert not any(dominates(reached[out], reached[kept]) for out in stopped for kept in chosen)
    shuffled = {each: reached[each] for each in data.draw(st.permutations(sorted(reached)))}
    assert promoted(shuffled, OBJECTIVES, keep) == chosen


@given(reached=REACHED, keep=st.floats(0.01, 0.99))
def test_what_is_above_the_largest_error_is_stopped_before_all_that_is_within(reached, keep):
    chosen = promoted(reached, objectives_named(("error", "parameters", "latency_ms"), max_error=0.3), keep)
    within = {each for each, values in reached.items() if values["error"] <= 0.3}
    assert chosen <= within or within <= chosen


def is_promoted(arrivals, rung, candidate_id, values):
    arrivals.add(rung, candidate_id, values)
    return arrivals.is_promoted(rung, candidate_id)


def test_a_smaller_network_goes_on_though_its_error_is_larger():
    accurate = {f"g1-{slot}": {"error": 0.01 * slot, "parameters": 1000.0 + slot, "latency_ms": 1.0} for slot in range(3)}
    small = {"g1-9": {"error": 0.4, "parameters": 10.0, "latency_ms": 0.1}}
    assert promoted(accurate | small, OBJECTIVES, 0.5) == {"g1-0", "g1-9"}


@settings(deadline=None)
@given(reached=REACHED, latest=st.integers(2, 12))
def test_at_once_each_is_compared_with_the_latest_that_came(reached, latest):
    rungs = Rungs(latest=latest, keep=0.4)
    arrivals, ids = AsyncRungs(rungs, OBJECTIVES), list(reached)
    for number, each in enumerate(ids):
        before = ids[max(0, number + 1 - latest) : number + 1]
        expected = each in promoted({other: reached[other] for other in before}, OBJECTIVES, 0.4)
        assert is_promoted(arrivals, 1, each, reached[each]) == expected
    if ids:
        assert is_promoted(AsyncRungs(rungs, OBJECTIVES), 0, ids[0], reached[ids[0]])


def test_rungs_do_not_hear_of_one_another():
    arrivals = AsyncRungs(Rungs(), OBJECTIVES)
    good = {"error": 0.1, "parameters": 10.0, "latency_ms": 0.1}
    bad = {"error": 0.9, "parameters": 99.0, "latency_ms": 0.9}
    assert is_promoted(arrivals, 0, "g1-0", good)
    assert not is_promoted(arrivals, 0, "g1-1", bad)
    assert is_promoted(arrivals, 1, "g1-1", bad)


@pytest.mark.parametrize(
    "wrong",
    [
        *({"shares": shares} for shares in ((), (0.5, 0.2), (0.5, 0.5), (0.0, 0.5), (0.5, 1.0))),
        *({"keep": keep} for keep in (0.0, 1.0, -1.0)),
        {"latest": 1},
    ],
    ids=str,
)
def test_rungs_that_cannot_be_are_refused(wrong):
    with pytest.raises(ConfigError, match="rung"):
        Rungs(**wrong)


@given(shares=st.sets(st.floats(0.01, 0.99), min_size=1, max_size=4), keep=st.floats(0.05, 0.95))
def test_the_trained_share_is_that_of_a_large_generation(shares, keep):
    rungs, children, share, begin = Rungs(shares=tuple(sorted(shares)), keep=keep), 1.0, 0.0, 0.0
    for end in (*rungs.shares, 1.0):
        share += children * (end - begin)
        children, begin = children * keep, end
    assert math.isclose(rungs.trained_share, share)
    assert math.isclose(Rungs().trained_share, 0.5)
