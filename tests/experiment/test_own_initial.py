"""A search may begin with networks of the user's own."""

from pathlib import Path

import pytest

from hwnas.config import RunConfig, make_config
from hwnas.errors import ConfigError
from hwnas.experiment import resume, start
from hwnas.graph import architecture_id
from hwnas.spaces import initial_graphs
from hwnas.store import RunStore
from tests.graphs import Builder


def config(**changes: object) -> RunConfig:
    budget = {"generations": 1, "images_per_child": 64}
    return make_config({"objectives": ("error", "parameters"), "lemonade": {"accepted": 2}, "budget": budget, **changes})


def test_own_networks_are_trained_beside_the_spaces_and_stay_when_the_run_goes_on(tmp_path: Path) -> None:
    b = Builder(1, 8, 8)
    b.conv(5, kernel=3)
    own = b.head(10)
    known = [graph for _, graph in initial_graphs((1, 8, 8), 10)]
    start(config(), tmp_path / "run", initial=[own, known[0]])
    resume(tmp_path / "run", changes={"generations": 2})
    with RunStore.open(tmp_path / "run", write=False) as store:
        rows = list(store.rows())
    first = [row.architecture_id for row in rows if row.generation == 0]
    assert sorted(first) == sorted(map(architecture_id, [*known, own]))
    assert {row.generation for row in rows} == {0, 1, 2}


def test_a_network_for_other_data_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    other = Builder(1, 7, 7).head(10)
    with pytest.raises(ConfigError, match="initial network takes images of shape"):
        start(config(), tmp_path / "run", initial=[other])
    assert not (tmp_path / "run").exists()
