"""Training settings that candidates carry: drawn around where the search begins, changed step by step, inherited."""

from dataclasses import replace

import numpy as np
import pytest

from hwnas.candidate import Outcome
from hwnas.search import STRATEGIES, Problem, TunedSetting
from hwnas.search.tuning import inherited_settings, initial_settings
from tests.search.test_strategies import INITIAL, OBJECTIVES, cheap

RATE = TunedSetting(name="learning_rate", begin=0.1, low=1e-5, high=10.0, shift=0.0, step=0.4)
SMOOTHING = TunedSetting(name="label_smoothing", begin=0.0, low=0.0, high=0.3, shift=0.01, step=0.4)
TUNED = (RATE, SMOOTHING)


def test_steps_are_log_normal_within_the_bounds():
    rng = np.random.default_rng(0)
    rates = np.array([RATE.moved(0.1, 1.0, rng) for _ in range(4000)])
    assert np.log(rates / 0.1).mean() == pytest.approx(0, abs=0.03)
    assert np.log(rates / 0.1).std() == pytest.approx(0.4, rel=0.05)
    wild = replace(RATE, step=50.0)
    assert {wild.moved(0.1, 1.0, rng) for _ in range(50)} >= {1e-5, 10.0}


def test_a_setting_that_is_off_can_be_turned_on_and_off_again():
    rng = np.random.default_rng(0)
    found = [SMOOTHING.moved(0.0, 1.0, rng) for _ in range(100)]
    assert min(found) == 0.0
    assert 0 < max(found) < 0.05


def test_the_first_network_begins_as_the_run_would_and_the_others_lie_widely_around():
    first, *others = initial_settings(TUNED, 200, seed=0, generation=0)
    assert first == {"learning_rate": 0.1, "label_smoothing": 0.0}
    assert np.log([each["learning_rate"] for each in others]).std() == pytest.approx(1.2, rel=0.2)
    assert initial_settings((), 2, seed=0, generation=0) == [{}, {}]


def test_where_nothing_is_tuned_no_random_number_is_drawn():
    rng = np.random.default_rng(0)
    assert inherited_settings((), {}, rng) == {}
    assert rng.random() == np.random.default_rng(0).random()


@pytest.mark.parametrize("name", STRATEGIES)
def test_children_inherit_a_step_away_and_a_stored_run_continues_alike(name):
    def begun():
        problem = Problem(objectives=OBJECTIVES, initial=INITIAL, cheap=cheap, seed=0, tuned=TUNED)
        return STRATEGIES[name]().begin(problem)

    def told(strategy, candidates):
        for place, each in enumerate(candidates):
            values = {"error": 0.5 - 0.01 * place, **cheap([each.graph])[0]}
            strategy.tell(Outcome(candidate_id=each.id, status="finished", values=values, weights="none"))

    strategy = begun()
    first = strategy.ask().candidates
    told(strategy, first)
    children = strategy.ask().candidates
    parents = {each.id: each for each in first}
    assert all(set(each.training) == {"learning_rate", "label_smoothing"} for each in (*first, *children))
    steps = [np.log(c.training["learning_rate"] / parents[c.parent].training["learning_rate"]) for c in children if c.parent]
    assert 0 < np.abs(steps).max() < 4 * 0.4 + 1e-3
    again = begun()
    again.adopt(first)
    told(again, first)
    assert [each.training for each in again.ask().candidates] == [each.training for each in children]
