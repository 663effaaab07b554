"""A search may begin with networks of the user's own."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

import hwnas
from hwnas.config import RunConfig, make_config
from hwnas.errors import ConfigError, StoreError
from hwnas.experiment import resume, start
from hwnas.graph import architecture_id
from hwnas.morphism.bound import bounded
from hwnas.spaces import initial_graphs
from hwnas.store import RunStore
from tests.graphs import Builder


def config(**changes: object) -> RunConfig:
    budget = {"generations": 1, "images_per_child": 64}
    made = {"objectives": ("error", "parameters"), "workers": 0, "lemonade": {"accepted": 2}, "budget": budget}
    return make_config({**made, **changes})


def test_own_networks_are_trained_beside_the_spaces_and_stay_when_the_run_goes_on(tmp_path: Path) -> None:
    b = Builder(1, 8, 8)
    b.conv(5, kernel=3)
    own = b.head(10)
    known = [graph for _, graph in initial_graphs((1, 8, 8), 10)]
    hwnas.start(tmp_path / "run", config=config(), initial=[own, known[0]])
    resume(tmp_path / "run", changes={"generations": 2})
    with RunStore.open(tmp_path / "run", write=False) as store:
        rows = list(store.rows())
    first = [row.architecture_id for row in rows if row.generation == 0]
    assert sorted(first) == sorted(map(architecture_id, [*known, own]))
    assert {row.generation for row in rows} == {0, 1, 2}


def test_a_search_that_bounds_activations_begins_with_bounded_networks_too(tmp_path: Path) -> None:
    b = Builder(1, 8, 8)
    b.conv(5, kernel=3)
    own = b.head(10)
    plain = [*(graph for _, graph in initial_graphs((1, 8, 8), 10)), own]
    hwnas.start(tmp_path / "run", config=config(lemonade={"accepted": 2, "bound_activations": True}), initial=[own])
    with RunStore.open(tmp_path / "run", write=False) as store:
        first = {row.architecture_id for row in store.rows() if row.generation == 0}
    assert first == {architecture_id(each) for graph in plain for each in (graph, bounded(graph, 2.0))}
    assert len(first) == 2 * len(plain)


@pytest.mark.slow
def test_a_run_that_was_cut_short_before_its_first_networks_begins_with_its_own_when_it_goes_on(tmp_path: Path) -> None:
    own = Builder(1, 8, 8).head(10)
    start(config(budget={"generations": 0, "images_per_child": 64}), tmp_path / "run", initial=[own])
    with closing(sqlite3.connect(tmp_path / "run" / "run.sqlite")) as connection, connection:
        for table in ("final_values", "outcomes", "candidates", "events"):
            connection.execute(f"DELETE FROM {table}")
    resume(tmp_path / "run")
    with RunStore.open(tmp_path / "run", write=False) as store:
        known = [graph for _, graph in initial_graphs((1, 8, 8), 10)]
        assert {row.architecture_id for row in store.rows()} == set(map(architecture_id, [*known, own]))


@pytest.mark.slow
def test_a_run_of_a_version_that_did_not_keep_its_own_networks_goes_on(tmp_path: Path) -> None:
    start(config(), tmp_path / "run", initial=[Builder(1, 8, 8).head(10)])
    with closing(sqlite3.connect(tmp_path / "run" / "run.sqlite")) as connection, connection:
        connection.execute("DELETE FROM meta WHERE name IN ('initial', 'definitions')")
    assert resume(tmp_path / "run", changes={"generations": 2}).trained > 0


def test_own_networks_that_were_damaged_are_not_taken_for_none(tmp_path: Path) -> None:
    start(config(), tmp_path / "run", initial=[Builder(1, 8, 8).head(10)])
    with closing(sqlite3.connect(tmp_path / "run" / "run.sqlite")) as connection, connection:
        connection.execute("UPDATE meta SET value = substr(value, 1, 9) WHERE name = 'initial'")
    with pytest.raises(StoreError, match="meta initial is damaged"):
        resume(tmp_path / "run", changes={"generations": 2})


def test_a_network_for_other_data_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    other = Builder(1, 7, 7).head(10)
    with pytest.raises(ConfigError, match="initial network takes images of shape"):
        hwnas.start(tmp_path / "run", config=config(), initial=[other])
    assert not (tmp_path / "run").exists()
