"""The latency predictor: what is additive it recovers, and it never says less for more."""

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwnas.estimate import LatencyPredictor, leave_one_out
from hwnas.estimate.predictor import features
from hwnas.graph import Clip, Conv, Edit, Graph
from hwnas.morphism import OPERATORS, morph
from hwnas.spaces import initial_graphs
from tests.chains import grown_graphs
from tests.graphs import Builder, plain


def grown(count: int, shape: tuple[int, int, int] = (1, 8, 8), seed: int = 0) -> list[Graph]:
    """The initial networks and, one after another, children of random earlier ones."""
    rng = np.random.default_rng(seed)
    graphs = [graph for _, graph in initial_graphs(shape, 10)]
    while len(graphs) < count:
        step = morph(graphs[int(rng.integers(len(graphs)))], rng)
        if step is not None:
            graphs.append(step[1].graph)
    return graphs[:count]


def truth(seed: int, noise: float = 0.0):
    """A latency in ms that is additive in the features, about a third of each network's a constant."""
    rng = np.random.default_rng(seed)
    scale = np.mean([features(graph) for graph in grown(40)], axis=0)
    coefficients = rng.uniform(0, 1, len(scale)) / np.maximum(scale, 1e-9) * (scale > 0) / 1000
    coefficients[0] = 3 / 1000

    def latency_ms(graph: Graph) -> float:
        return float(features(graph) @ coefficients) * (1 + noise * float(rng.standard_normal()))

    return latency_ms


@pytest.mark.parametrize("seed", range(3))
def test_it_recovers_an_additive_latency(seed: int) -> None:
    graphs, latency_ms = grown(160, seed=seed), truth(seed)
    predictor = LatencyPredictor.fit(graphs[:120], [latency_ms(graph) for graph in graphs[:120]])
    errors = [abs(predictor.predict(graph) / latency_ms(graph) - 1) for graph in graphs[120:]]
    assert np.median(errors) < 0.01
    assert max(errors) < 0.1


def test_eight_noisy_measurements_are_a_start() -> None:
    graphs, latency_ms = grown(60), truth(1, noise=0.02)
    predictor = LatencyPredictor.fit(graphs[:8], [latency_ms(graph) for graph in graphs[:8]])
    predicted = np.array([predictor.predict(graph) for graph in graphs[8:]])
    measured = np.array([latency_ms(graph) for graph in graphs[8:]])
    assert np.median(abs(predicted / measured - 1)) < 0.3
    assert np.corrcoef(np.argsort(np.argsort(predicted)), np.argsort(np.argsort(measured)))[0, 1] > 0.7


def test_it_does_not_care_for_units() -> None:
    graphs, latency_ms = grown(30), truth(2, noise=0.05)
    values = np.array([latency_ms(graph) for graph in graphs])
    small, large = LatencyPredictor.fit(graphs, values), LatencyPredictor.fit(graphs, 1000 * values)
    for graph in graphs:
        assert large.predict(graph) == pytest.approx(1000 * small.predict(graph), rel=1e-3)


@given(grown_graphs(), st.integers(0, 3))
def test_coefficients_and_predictions_are_never_negative(graph: Graph, seed: int) -> None:
    rng = np.random.default_rng(seed)
    graphs = grown(12, seed=seed)
    predictor = LatencyPredictor.fit(graphs, np.exp(rng.normal(-4, 1, len(graphs))).tolist())
    assert (predictor.coefficients >= 0).all()
    assert 0 < predictor.predict(graph) < np.inf


@given(grown_graphs(), st.integers(0, 1000))
def test_features_never_shrink_when_a_layer_is_inserted(graph: Graph, seed: int) -> None:
    sites = OPERATORS["insert_convolution"].sites(graph)
    if not sites:
        return
    rng = np.random.default_rng(seed)
    child = OPERATORS["insert_convolution"].apply(graph, sites[int(rng.integers(len(sites)))], rng).graph
    assert (features(child) >= features(graph)).all()
    assert features(child).sum() > features(graph).sum()


def test_a_wider_network_is_never_predicted_faster() -> None:
    predictor = LatencyPredictor.fit(grown(40), [truth(4)(graph) for graph in grown(40)])
    predicted = []
    for channels in (8, 16, 24, 32, 64, 128):
        builder = Builder()
        builder.conv(channels)
        builder.conv(channels)
        predicted.append(predictor.predict(builder.head()))
    assert predicted == sorted(predicted)


def test_the_features_of_one_convolution_by_hand() -> None:
    builder = Builder(3, 8, 8)
    builder.conv(6)
    found = features(builder.head(10))
    dense = found[1:4]
    macs = 8 * 8 * 6 * 3 * 9
    padded = macs * 16 / 6
    assert found[0] == 1
    assert dense == pytest.approx([1, padded, 3 * 64 + (6 * 27 + 6) + 6 * 64])
    broadcasts, unblocked, unblocked_depthwise, depthwise_macs, all_macs = found[-5:]
    assert broadcasts == pytest.approx(padded)  # one vector of channels: one output a load
    assert (unblocked, unblocked_depthwise, depthwise_macs) == (1, 0, 0)
    assert all_macs == macs + 6 * 10


def test_at_most_four_vectors_share_a_load_and_depthwise_ones_none() -> None:
    builder = Builder(3, 8, 8)
    builder.conv(128)
    builder.conv(128, groups=128)
    found = features(builder.head(10))
    assert found[-5] == pytest.approx(8 * 8 * 128 * 27 / 4)
    assert found[4:6] == pytest.approx([1, 8 * 8 * 128 * 9])
    assert (found[-4:-1] == 0).all()


def test_unblocked_depthwise_convolutions_are_dearer() -> None:
    builder = Builder(6, 8, 8)
    builder.conv(6, groups=6)
    found = features(builder.head(10))
    assert found[-4:].tolist() == [0, 1, 8 * 8 * 6 * 9, 8 * 8 * 6 * 9 + 60]


def test_a_fused_activation_is_free() -> None:
    edit = Edit(plain())
    clip = next(node for node in plain() if isinstance(node.op, Clip))
    edit.replace(clip.id, Clip(high=6.0))
    assert (features(edit.done()) == features(plain())).all()
    assert sum(isinstance(node.op, Conv) for node in plain()) == features(plain())[1]


def test_nothing_measured_predicts_one_millisecond() -> None:
    assert LatencyPredictor.fit([], []).predict(plain()) == 1.0


def test_leave_one_out_does_not_look_at_its_own_network() -> None:
    graphs, latency_ms = grown(8), truth(5)
    values = [latency_ms(graph) for graph in graphs]
    before = leave_one_out(graphs, values)
    values[3] *= 100
    after = leave_one_out(graphs, values)
    assert after[3] == before[3]
    assert after[0] != before[0]
    assert leave_one_out(graphs[:1], values[:1]) == [1.0]


def test_sixty_four_proposals_take_milliseconds() -> None:
    graphs = grown(104, (3, 32, 32))
    predictor = LatencyPredictor.fit(graphs[:40], [1.0] * 40)
    fastest_s = np.inf
    for _ in range(3):
        fresh = [Graph(graph.nodes, graph.output) for graph in graphs[40:]]
        start = time.process_time()
        for graph in fresh:
            predictor.predict(graph)
        fastest_s = min(fastest_s, time.process_time() - start)
    assert fastest_s < 0.03
