"""LEMONADE's steps, on a cheap function that needs no device and outcomes that need no training."""

from collections import Counter

import numpy as np
import pytest

from hwnas.candidate import Failure, Outcome
from hwnas.errors import ConfigError, WorkError
from hwnas.graph import cost
from hwnas.objective import Limit
from hwnas.objectives import objectives_named
from hwnas.search import Lemonade, LemonadeSettings, Problem
from hwnas.spaces import initial_graphs

INITIAL = [graph for _, graph in initial_graphs((1, 8, 8), 10)]
OBJECTIVES = objectives_named(("error", "parameters", "macs"))


def cheap(graphs):
    return [{"parameters": float(cost(graph).parameters), "macs": float(cost(graph).macs)} for graph in graphs]


def lemonade(*, limits=(), seed=0, initial=INITIAL, values=cheap, **settings):
    chosen = LemonadeSettings(**{"proposals": 16, "accepted": 4, **settings})
    problem = Problem(objectives=OBJECTIVES, limits=tuple(limits), initial=tuple(initial), cheap=values, seed=seed)
    return Lemonade(chosen, problem)


def outcome(candidate, error=None):
    """Larger networks are better here; otherwise the architecture alone decides."""
    jitter = int(candidate.architecture_id, 16) % 1000 / 1e5
    error = 1 / (1 + np.log10(candidate.cheap["parameters"])) + jitter if error is None else error
    return Outcome(candidate_id=candidate.id, status="finished", values={"error": error, **candidate.cheap}, weights="w")


def failed(candidate):
    failure = Failure(kind="diverged", message="nan")
    return Outcome(candidate_id=candidate.id, status="failed", failure=failure)


def run(strategy, generations):
    asked = []
    for _ in range(generations):
        ask = strategy.ask()
        asked.append(ask)
        for candidate in ask.candidates:
            strategy.tell(outcome(candidate))
    return asked


def described(ask):
    return [(c.id, c.parent, c.operator, c.architecture_id, dict(c.cheap)) for c in ask.candidates]


def test_it_starts_with_the_initial_networks_from_scratch():
    ask = lemonade().ask()
    assert [candidate.graph for candidate in ask.candidates] == INITIAL
    assert {(candidate.operator, candidate.parent) for candidate in ask.candidates} == {("initial", None)}
    assert [candidate.id for candidate in ask.candidates] == [f"g0-{slot}" for slot in range(len(INITIAL))]


def test_children_come_from_the_front_by_one_to_three_operators():
    strategy = lemonade()
    run(strategy, 1)
    lengths = Counter()
    for _ in range(8):
        members = set(strategy.front)
        ask = strategy.ask()
        assert ask.proposed == 16
        assert len(ask.candidates) == 4
        for candidate in ask.candidates:
            assert candidate.parent in members
            lengths[len(candidate.steps)] += 1
            strategy.tell(outcome(candidate))
    assert set(lengths) == {1, 2, 3}


def test_no_architecture_is_tried_twice():
    asked = run(lemonade(accepted=16), 10)
    seen = Counter(candidate.architecture_id for ask in asked for candidate in ask.candidates)
    assert max(seen.values()) == 1
    assert sum(ask.duplicates for ask in asked) > 0
    assert all(len(ask.candidates) <= ask.proposed - ask.duplicates for ask in asked[1:])


def test_what_was_stopped_early_counts_as_tried_and_is_no_member_and_no_parent():
    strategy, stopped, seen = lemonade(accepted=8), set(), set()
    run(strategy, 1)
    for _ in range(6):
        for candidate in strategy.ask().candidates:
            assert candidate.parent not in stopped
            assert candidate.architecture_id not in seen
            seen.add(candidate.architecture_id)
            if candidate.slot % 2:
                stopped.add(candidate.id)
                values = {"error": 0.0, "images": 400.0, **candidate.cheap}  # better than all else, had it been finished
                assert strategy.tell(Outcome(candidate_id=candidate.id, status="stopped_early", values=values)) is None
            else:
                strategy.tell(outcome(candidate))
    assert stopped
    assert not stopped & set(strategy.front)


@pytest.mark.parametrize(("latency", "is_open"), [({}, True), ({"latency_ms": 0.5}, True), ({"latency_ms": 2.0}, False)])
def test_what_was_infeasible_on_another_device_is_proposed_again_until_its_latency_here_is_known(latency, is_open):
    def quick(graphs):
        return [{**values, "latency_ms": 0.1} for values in cheap(graphs)]

    strategy = lemonade(limits=[Limit(objective="latency_ms", maximum=1.0)], values=quick)
    for candidate in strategy.ask().candidates:
        values = {name: value for name, value in candidate.cheap.items() if name != "latency_ms"}
        strategy.tell(Outcome(candidate_id=candidate.id, status="infeasible", values=values | latency))
    assert [candidate.graph for candidate in strategy.ask().candidates] == (INITIAL if is_open else [])


def test_parents_where_the_front_is_thin_are_drawn_more_often():
    crowded = np.geomspace(1000, 1100, len(INITIAL) - 1).tolist()
    lone = 100_000.0
    values = dict(zip([id(graph) for graph in INITIAL], [*crowded, lone], strict=True))

    def placed(graphs):
        sizes = [values.get(id(graph), float(cost(graph).parameters)) for graph in graphs]
        return [{"parameters": size, "macs": size} for size in sizes]

    drawn = {}
    for density in ("kernel", "uniform"):
        strategy = lemonade(values=placed, proposals=400, accepted=400, density=density)
        first = strategy.ask().candidates
        for slot, candidate in enumerate(sorted(first, key=lambda c: c.cheap["parameters"])):
            strategy.tell(outcome(candidate, error=0.95 - slot / 20))
        parents = Counter(candidate.parent for candidate in strategy.ask().candidates)
        drawn[density] = parents[first[-1].id] / parents.total()
    assert drawn["kernel"] > 2 * drawn["uniform"]


def test_what_breaks_a_limit_is_counted_and_never_accepted():
    limit = Limit(objective="parameters", maximum=700)
    asked = run(lemonade(limits=[limit]), 6)
    assert all(candidate.cheap["parameters"] <= 700 for ask in asked for candidate in ask.candidates)
    assert all(set(ask.over_limit) <= {"parameters"} for ask in asked)
    assert sum(ask.over_limit["parameters"] for ask in asked if ask.over_limit) > 0


def test_what_failed_is_tried_once_more_and_not_again():
    strategy = lemonade(initial=INITIAL[:3])
    for _ in range(2):
        ask = strategy.ask()
        assert [candidate.graph for candidate in ask.candidates] == INITIAL[:3]
        for candidate in ask.candidates:
            strategy.tell(failed(candidate))
    assert strategy.ask().candidates == ()


def test_a_replayed_strategy_asks_the_same():
    strategy = lemonade()
    asked = run(strategy, 3)
    replayed = lemonade()
    for ask in asked:
        replayed.adopt(ask.candidates)
        for candidate in reversed(ask.candidates):  # nor does the order matter
            replayed.tell(outcome(candidate))
    assert replayed.front == strategy.front
    assert described(replayed.ask()) == described(strategy.ask())


def test_another_seed_asks_something_else():
    first, second = (run(lemonade(seed=seed), 2)[1] for seed in (0, 1))
    assert described(first) != described(second)


def test_each_candidate_is_told_once_and_only_if_asked_for():
    strategy = lemonade()
    candidate = strategy.ask().candidates[0]
    strategy.tell(outcome(candidate))
    with pytest.raises(WorkError, match="g0-0 was told already"):
        strategy.tell(outcome(candidate))
    with pytest.raises(WorkError, match="generation 1"):
        strategy.adopt([candidate])


def test_without_inheritance_every_child_is_from_scratch():
    ask = run(lemonade(inherit=False), 2)[1]
    assert all(not step.inheritance.exact and step.inheritance.records for c in ask.candidates for step in c.steps)


def test_settings_that_cannot_be_are_refused():
    with pytest.raises(ConfigError, match="accepted=9"):
        LemonadeSettings(proposals=8, accepted=9)


def steadily(strategy, rng, wanted=60):
    """A steady-state search: one or two are asked for, and some end, in any order; gives its asks and outcomes in order."""
    record, waiting, told = [], [], 0
    while told < wanted:
        if strategy.front or not waiting:
            count = int(rng.integers(1, 3))
            record.append((count, strategy.ask(count)))
            waiting += record[-1][1].candidates
        for _ in range(min(len(waiting), int(rng.integers(0, 3)))):
            candidate = waiting.pop(int(rng.integers(len(waiting))))
            record.append(failed(candidate) if rng.random() < 0.1 else outcome(candidate))
            strategy.tell(record[-1])
            told += 1
    return record


def test_few_children_are_asked_for_in_the_proportion_of_a_whole_generation():
    strategy = lemonade(proposals=16, accepted=6)
    run(strategy, 1)
    for count, proposals in ((1, 3), (2, 6), (4, 11), (6, 16)):
        ask = strategy.ask(count)
        assert ask.proposed % proposals == 0  # drawn again where every child was known
        assert len(ask.candidates) <= count


def test_in_steady_state_nothing_is_tried_while_it_is_being_tried():
    record = steadily(lemonade(), np.random.default_rng(0))
    asks = [entry[1] for entry in record if isinstance(entry, tuple)]
    unsuccessful = {entry.candidate_id for entry in record if isinstance(entry, Outcome) and entry.status == "failed"}
    tried = {}
    for number, ask in enumerate(asks):
        for candidate in ask.candidates:
            assert candidate.generation == number
            assert tried.get(candidate.architecture_id, candidate.id) in {candidate.id, *unsuccessful}
            tried[candidate.architecture_id] = candidate.id
    assert unsuccessful


@pytest.mark.parametrize("seed", range(3))
def test_a_steady_search_is_asked_again_the_same_from_its_record(seed):
    strategy, asking, adopting = lemonade(), lemonade(), lemonade()
    for entry in steadily(strategy, np.random.default_rng(seed)):
        if isinstance(entry, Outcome):
            asking.tell(entry)
            adopting.tell(entry)
        else:
            count, ask = entry
            assert described(asking.ask(count)) == described(ask)
            adopting.adopt(ask.candidates)
    assert adopting.front == asking.front == strategy.front
    assert described(adopting.ask(3)) == described(asking.ask(3)) == described(strategy.ask(3))


@pytest.mark.parametrize("bounds", [False, True])
def test_activations_are_bounded_where_that_is_asked_for_and_no_objective_need_be_cheap(bounds):
    objectives = objectives_named(("error", "expected_change"))
    problem = Problem(objectives=objectives, initial=tuple(INITIAL), cheap=cheap, seed=0)
    strategy = Lemonade(LemonadeSettings(proposals=16, accepted=4, bound_activations=bounds), problem)
    operators = Counter()
    for _ in range(8):
        for candidate in strategy.ask().candidates:
            operators.update(step.operator for step in candidate.steps)
            change = float(int(candidate.architecture_id, 16) % 97 + 1)
            values = {"error": 1 / (2 + change), **candidate.cheap, "expected_change": change}
            strategy.tell(Outcome(candidate_id=candidate.id, status="finished", values=values, weights="w"))
    assert bool(operators["bound_activations"]) == bounds


def test_what_is_above_the_largest_error_is_no_parent_once_something_is_within():
    objectives = objectives_named(("error", "parameters", "macs"), max_error=0.3)
    settings = LemonadeSettings(proposals=16, accepted=4)
    strategy = Lemonade(settings, Problem(objectives=objectives, initial=tuple(INITIAL), cheap=cheap, seed=0))
    starts = strategy.ask().candidates
    for candidate in starts[:-1]:
        strategy.tell(outcome(candidate, error=0.9 - candidate.slot / 100))  # none is of use: the most accurate stands alone
        assert strategy.front == (candidate.id,)
    strategy.tell(outcome(starts[-1], error=0.3))
    assert strategy.front == (starts[-1].id,)
    for candidate in strategy.ask().candidates:
        assert candidate.parent == starts[-1].id
        strategy.tell(outcome(candidate, error=0.31))  # smaller, maybe, but of no use
    assert strategy.front == (starts[-1].id,)
