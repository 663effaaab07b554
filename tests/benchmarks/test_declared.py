"""Benchmarks that are declared and wait for their machine time: what they compute of rows, and figures of whole sets."""

import numpy as np
import pytest
from proxy_networks import SETS, NetworkSet, networks
from resnet20_oracle import TWICE, Published, is_matrix
from two_phase import IN_TURN, JUDGED, child_of, gain, median_interval

from hwnas.data import DataSettings
from hwnas.graph import Clip


def test_the_interval_of_a_median_holds_it_in_95_of_100_samples() -> None:
    rng = np.random.default_rng(0)
    held = [(found := median_interval(rng.exponential(size=50)))["low"] <= np.log(2) <= found["high"] for _ in range(800)]
    assert 0.93 <= np.mean(held) <= 1
    assert median_interval([1.0] * 8) == {"median": 1.0, "low": 1.0, "high": 1.0, "pairs": 8}


def test_a_goal_has_no_figure_before_both_sets_are_there() -> None:
    whole = {operator: {"low": 0.1} for operator in JUDGED}
    assert gain({}, JUDGED[0]) is gain({"digits": whole}, JUDGED[0]) is None
    assert gain({"digits": whole, "cifar10": {JUDGED[0]: {"low": -0.2}}}, JUDGED[0]) == -0.2


def test_fresh_networks_are_bounded_every_third_and_their_pairs_take_operators_in_turn() -> None:
    few = NetworkSet(
        data=DataSettings(), seed=4, count=7, smallest=200, largest=5_000, images=16, batch_size=16, worst_error=1.0,
        bounds=SETS["fresh_digits"].bounds,
    )  # fmt: skip
    made = networks(few, (1, 8, 8), 10)
    bounds = [{node.op.high for node in graph if isinstance(node.op, Clip)} for graph in made]
    assert bounds[0] <= {2.0}
    assert bounds[3] <= {4.0}
    assert bounds[6] <= {2.0}
    assert any(float("inf") in found for found in bounds)
    names = [child_of(graph, place, np.random.default_rng(place))[0] for place, graph in enumerate(made)]
    assert set(names) <= set(IN_TURN)
    assert len(set(names)) > 1


@pytest.mark.parametrize("layer", [0, 5])
def test_the_published_share_is_a_flips_or_half_of_it(layer: int) -> None:
    row = Published(layer=layer, name="conv", weights=1, stuck_at=0.01)
    assert row.flip == (0.02 if layer in TWICE else 0.01)
    assert is_matrix(np.zeros((4, 3, 3, 3)))
    assert not is_matrix(np.zeros((4, 1, 1, 1)))
    assert not is_matrix(np.zeros(4))
