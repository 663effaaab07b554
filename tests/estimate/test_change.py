"""The predicted expected change: it learns what the graph decides, and says nothing absurd after few networks."""

import math

import numpy as np
import pytest

from hwnas.estimate import ChangePredictor, rank_correlation
from hwnas.estimate.change import features
from hwnas.graph import Graph
from hwnas.morphism.bound import bounded
from tests.estimate.test_predictor import grown


def truth(seed: int) -> tuple[list[Graph], list[float]]:
    """Networks, and values whose logarithms are linear in the standardised features."""
    graphs = grown(100, seed=seed)
    rows = np.array([features(graph) for graph in graphs])
    rows = (rows - rows.mean(axis=0)) / np.maximum(rows.std(axis=0), 1e-9)
    logs = rows @ np.random.default_rng(seed).normal(0, 0.3, rows.shape[1])
    return graphs, np.exp(logs + 7).tolist()


@pytest.mark.parametrize("seed", range(3))
def test_it_learns_what_the_graph_decides(seed: int) -> None:
    graphs, values = truth(seed)
    predictor = ChangePredictor.fit(graphs[:60], values[:60])
    predicted = [predictor.predict(graph) for graph in graphs[60:]]
    correlation = rank_correlation(predicted, values[60:])
    assert correlation is not None
    assert correlation > 0.95


@pytest.mark.parametrize("known", [1, 2, 3, 8])
def test_after_few_networks_it_keeps_within_what_it_has_seen(known: int) -> None:
    graphs, values = truth(7)
    predictor = ChangePredictor.fit(graphs[:known], values[:known])
    spread = max(values[:known]) / min(values[:known])
    for graph in graphs:
        assert min(values[:known]) / (100 * spread) < predictor.predict(graph) < max(values[:known]) * 100 * spread


def test_of_one_network_everything_is_alike() -> None:
    (first, *others), values = truth(1)
    predictor = ChangePredictor.fit([first], values[:1])
    assert [predictor.predict(graph) for graph in others] == pytest.approx([values[0]] * len(others))


def test_bounded_activations_are_seen() -> None:
    graph = grown(5)[4]
    difference = features(bounded(graph, 6.0)) - features(graph)
    assert difference[-1] == 1.0
    assert math.isfinite(difference.sum())
