"""What makes two candidates the same trial, and that the values of a search can be copied, pickled and printed."""

import copy
import dataclasses
import math
import pickle
from typing import Any

import pytest
from hypothesis import given, settings

from hwnas.candidate import Candidate, Outcome, Step, identity_of
from hwnas.errors import StoreError
from hwnas.graph import Graph, architecture_id
from hwnas.objectives import objectives_named
from hwnas.search.history import History
from hwnas.search.strategy import Ask
from tests.chains import chain, grown_graphs
from tests.graphs import SAMPLES


def candidate(name: str = "flat", slot: int = 0, **changes: Any) -> Candidate:
    steps = [
        Step(operator=operator, graph=morphed.graph, inheritance=morphed.inheritance)
        for operator, morphed in chain(SAMPLES[name](), 1, 2)
    ]
    return Candidate(**{"generation": 0, "slot": slot, "steps": tuple(steps), "cheap": {"macs": 1.0}, **changes})


def test_identity_is_architecture_training_settings_and_genotype() -> None:
    plain = candidate()
    assert plain.identity == plain.architecture_id == identity_of(plain.graph)
    others = [
        candidate("plain"),
        candidate(training={"learning_rate": 0.1}),
        candidate(training={"learning_rate": 0.2}),
        candidate(training={"momentum": 0.1}),
        candidate(training={"learning_rate": "0.1"}),
        candidate(training={"learning_rate": 0.1, "momentum": 0.9}),
        candidate(genotype="{}"),
        candidate(genotype="{}", training={"learning_rate": 0.1}),
    ]
    assert len({each.identity for each in (plain, *others)}) == 1 + len(others)
    same = [candidate(slot=3, parents=("g0-1",), cheap={}), candidate(training={}), candidate(generation=2)]
    assert {each.identity for each in same} == {plain.identity}
    assert (
        candidate(training={"a": 1, "b": 2.0}).identity == candidate(training={"b": 2, "a": 1.0}).identity
    )  # whatever the order, and the type of a number


def test_the_identity_of_training_settings_is_what_it_was() -> None:
    graph = SAMPLES["plain"]()
    assert identity_of(graph, {"learning_rate": 0.1, "optimiser": "sgd"}, '{"cell":[1]}') == "17b4ddef0e33ad06"


def test_duplicates_are_told_by_identity() -> None:
    history = History(objectives_named(("error", "parameters")))
    tuned = candidate(slot=1, training={"learning_rate": 0.2})
    history.adopt([candidate()])
    assert history.is_known(candidate().identity)
    assert not history.is_known(tuned.identity)
    history.tell(Outcome(candidate_id="g0-0", status="unfinished"))
    history.adopt([dataclasses.replace(tuned, generation=1)])
    assert history.is_known(tuned.identity)
    assert not history.is_known(candidate().identity)


@pytest.mark.parametrize(
    "changes", [{"parents": ("g0-0", "g0-0")}, {"training": {"rate": math.nan}}, {"training": {"rate": math.inf}}]
)
def test_a_candidate_that_cannot_be_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(StoreError, match="g0-0"):
        candidate(**changes)


@settings(deadline=None, derandomize=True, max_examples=30)
@given(graph=grown_graphs())
def test_a_graph_is_copied_and_pickled(graph: Graph) -> None:
    for other in (copy.deepcopy(graph), copy.copy(graph), pickle.loads(pickle.dumps(graph))):  # noqa: S301
        assert other == graph
        assert (hash(other), other.shapes, other.users) == (hash(graph), graph.shapes, graph.users)
        assert architecture_id(other) == architecture_id(graph)
        assert repr(other) == repr(graph)


@pytest.mark.parametrize("name", SAMPLES)
def test_what_a_search_speaks_of_is_copied_and_pickled(name: str) -> None:
    made = candidate(name, training={"learning_rate": 0.1})
    for value in (made.steps[0], made, Ask(candidates=(made,), proposed=3, duplicates=1, over_limit={"macs": 2})):
        for other in (copy.deepcopy(value), pickle.loads(pickle.dumps(value))):  # noqa: S301
            assert other == value
            assert repr(other) == repr(value)
