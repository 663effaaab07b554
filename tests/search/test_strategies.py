"""Every strategy keeps its promises, and each selects as its paper says."""

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from hwnas.candidate import Candidate, Outcome
from hwnas.cli import app
from hwnas.config import make_config
from hwnas.errors import ConfigError
from hwnas.experiment import resume, start
from hwnas.graph import cost
from hwnas.objectives import objectives_named
from hwnas.search import STRATEGIES, Problem, strategy_of
from hwnas.search.aging import AgingSettings
from hwnas.search.evolution import Evolution, Member
from hwnas.search.nash import NashSettings
from hwnas.search.nsga2 import Nsga2Settings
from hwnas.search.pareto_nash import ParetoNashSettings
from hwnas.search.random_walks import RandomSettings
from hwnas.spaces import initial_graphs
from hwnas.store import RunStore
from hwnas.testing import check_strategy

INITIAL = tuple(graph for _, graph in initial_graphs((1, 8, 8), 10))
OBJECTIVES = objectives_named(("error", "parameters"))


@pytest.mark.parametrize("name", STRATEGIES)
def test_it_keeps_the_promises_of_a_strategy(name: str) -> None:
    check_strategy(name)
    check_strategy(strategy_of({"name": name, "inherit": False}))


def cheap(graphs):
    return [{"parameters": float(cost(graph).parameters)} for graph in graphs]


def begun(settings) -> Evolution:
    return settings.begin(Problem(objectives=OBJECTIVES, initial=INITIAL, cheap=cheap, seed=0))


def told(strategy: Evolution, errors: list[float]) -> list[Candidate]:
    """The initial networks, the first of them finished with these errors and all of one size, the others failed."""
    asked = list(strategy.ask().candidates)
    for candidate, error in zip(asked, errors, strict=False):
        values = {"error": error, "parameters": 100.0}
        strategy.tell(Outcome(candidate_id=candidate.id, status="finished", values=values, weights="w"))
    return asked


def test_the_oldest_dies_however_good_it_is() -> None:
    strategy = begun(AgingSettings(population=3, tournament=2))
    asked = told(strategy, [0.1, 0.4, 0.3, 0.2])
    assert strategy.needed == {each.id for each in asked[1:4]}
    assert strategy.front == (asked[0].id,)  # what died may be on the front


def test_a_tournament_of_all_is_won_by_the_best() -> None:
    strategy = begun(AgingSettings(population=4, tournament=4))
    asked = told(strategy, [0.3, 0.1, 0.4, 0.2])
    assert {child.parent for child in strategy.ask().candidates} == {asked[1].id}


def test_nsga2_keeps_the_best_of_parents_and_children() -> None:
    strategy = begun(Nsga2Settings(population=2))
    asked = told(strategy, [0.3, 0.1, 0.4, 0.2])
    assert strategy.needed == {asked[1].id, asked[3].id}


def test_nsga2_prefers_the_ends_of_a_front() -> None:
    strategy = begun(Nsga2Settings(population=3))
    rows = [(0.1, 1000.0), (0.2, 500.0), (0.21, 490.0), (0.9, 10.0)]
    members = [Member(candidate=Candidate, row=row) for row in rows]
    kept = [member.row for member in strategy.survivors(members)]
    assert rows[0] in kept
    assert rows[3] in kept


def test_random_draws_from_all_that_finished() -> None:
    strategy = begun(RandomSettings(accepted=200, max_operators=1))
    asked = told(strategy, [0.9, 0.1, 0.5])
    parents = [child.parent for child in strategy.ask().candidates]
    counts = np.unique(parents, return_counts=True)
    assert set(counts[0]) == {each.id for each in asked[:3]}
    assert strategy.needed == {each.id for each in asked[:3]}


@pytest.mark.parametrize("settings", [{"accepted": 0}, {"population": 1, "tournament": 2}, {"tournament": 0}])
def test_sizes_that_make_no_sense_are_refused(settings: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match="got"):
        AgingSettings(**settings)


@pytest.mark.parametrize("name", sorted(STRATEGIES.keys() - {"lemonade"}))
def test_a_run_goes_on_as_it_would_have(name: str, tmp_path: Path) -> None:
    config = {
        "workers": 0,
        "objectives": ("error", "parameters", "macs"),
        "strategy": {"name": name, "accepted": 2},
        "budget": {"generations": 2, "images_per_child": 64},
    }
    start(make_config(config), tmp_path / "whole")
    start(make_config({**config, "budget": {"generations": 1, "images_per_child": 64}}), tmp_path / "cut")
    resume(tmp_path / "cut", changes={"generations": 2})
    found = []
    for folder in ("whole", "cut"):
        with RunStore.open(tmp_path / folder, write=False) as store:
            found.append([(row.id, row.parent, row.operator, row.values) for row in store.rows()])
    assert found[0] == found[1]
    assert len(found[0]) > len(INITIAL)


def test_a_strategy_that_is_not_there_lists_those_that_are() -> None:
    done = CliRunner().invoke(app, ["search", "--strategy", "magic"])
    assert done.exit_code == 2
    assert "lemonade, pareto-nash, nash, nsga2, aging-evolution, random" in " ".join(done.output.split())


def test_nash_climbs_from_the_most_accurate_network_and_keeps_it_where_no_child_is_better():
    strategy = begun(NashSettings(accepted=3))
    first = told(strategy, [0.5, 0.3, 0.3, 0.9])
    assert strategy.needed == {first[1].id}  # of equal ones the older
    children = strategy.ask().candidates
    assert {each.parent for each in children} == {first[1].id}
    for each, error in zip(children, [0.4, 0.2, 0.35], strict=True):
        values = {"error": error, **cheap([each.graph])[0]}
        strategy.tell(Outcome(candidate_id=each.id, status="finished", values=values, weights="none"))
    assert {each.parent for each in strategy.ask().candidates} == {children[1].id}


def test_pareto_nash_draws_parents_by_error_and_parameters_alone():
    problem = Problem(objectives=objectives_named(("error", "parameters", "macs")), initial=INITIAL, cheap=cheap, seed=0)
    strategy = ParetoNashSettings().begin(problem)
    for place, each in enumerate(strategy.ask().candidates):
        values = {"error": 0.1, "parameters": 100.0 + place, "macs": 1000.0 - place}  # by MACs each would be on the front
        strategy.tell(Outcome(candidate_id=each.id, status="finished", values=values, weights="none"))
    assert len(strategy.front) == 1
    with pytest.raises(ConfigError, match="compares error and parameters"):
        ParetoNashSettings().begin(Problem(objectives=OBJECTIVES[:1], initial=INITIAL, cheap=cheap, seed=0))
    with pytest.raises(ConfigError, match="climbs by the error"):
        NashSettings().begin(Problem(objectives=OBJECTIVES[1:], initial=INITIAL, cheap=cheap, seed=0))
