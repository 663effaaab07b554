"""Relevance shares and the indices built on them, against values worked out by hand."""

import math

import pytest
from hypothesis import given, settings

from hwnas.graph import (
    Add,
    Concat,
    Conv,
    Edit,
    Flatten,
    GlobalAvgPool,
    Graph,
    Linear,
    Node,
    WeightedAdd,
    stored_tensors,
)
from hwnas.resilience import adcr, exposure, relevance_shares, sensitivity, sensitivity_max, sensitivity_mean
from tests.chains import grown_graphs
from tests.graphs import SAMPLES, Builder


def merge(op: Add | WeightedAdd | Concat, left: int = 4, right: int = 4) -> Graph:
    """Stem (2 channels, 4x4) -> two 1x1 convolutions -> merged -> global average pool -> linear."""
    b = Builder(1, 4, 4)
    stem = b.conv(2)
    a = b.conv(left, stem, kernel=1)
    c = b.conv(right, stem, kernel=1)
    b.add(op, a, c)
    return b.head(classes=3)


def test_a_chain_passes_everything_on() -> None:
    graph = SAMPLES["plain"]()
    assert set(relevance_shares(graph).values()) == {1.0}
    sizes = [512, 128, 256, 64, 64, 16]
    assert sensitivity(graph) == pytest.approx(sum(1 / size for size in sizes))
    assert sensitivity_mean(graph) == pytest.approx(len(sizes) / sum(sizes))
    assert sensitivity_max(graph) == 1 / 16


@pytest.mark.parametrize("op", [Add(), WeightedAdd()])
def test_an_add_splits_equally(op: Add | WeightedAdd) -> None:
    graph = merge(op)
    # stem 32 elements, share 1/2 + 1/2; branches 64 each, 1/2; sum 64; pooled 4
    assert sensitivity(graph) == pytest.approx(1 / 32 + 2 * 0.25 / 64 + 1 / 64 + 1 / 4)
    assert sensitivity_mean(graph) == pytest.approx((1 + 1 / 2 + 1 / 2 + 1 + 1) / (32 + 64 + 64 + 64 + 4))
    assert sensitivity_max(graph) == 1 / 4


def test_a_concat_splits_by_element_count() -> None:
    shares = relevance_shares(merge(Concat(), left=2, right=6))
    assert sorted(shares.values()) == pytest.approx([0.25, 0.75, 1.0, 1.0, 1.0, 1.0, 1.0])


def test_a_residual_block() -> None:
    """stem -> conv -> add(stem, conv): the stem's share is 1/2 directly and 1/2 through the branch."""
    b = Builder(1, 4, 4)
    stem = b.conv(2)
    body = b.conv(2, relu=False)
    b.add(Add(), stem, body)
    shares = relevance_shares(b.head())
    assert shares[stem] == 1.0
    assert shares[body] == 0.5


def test_an_add_of_three_and_one_that_reads_a_tensor_twice() -> None:
    b = Builder(1, 4, 4)
    stem = b.conv(2)
    body = b.conv(2, stem)
    b.add(Add(), stem, stem, body)
    shares = relevance_shares(b.head())
    assert shares[body] == pytest.approx(1 / 3)
    assert shares[stem] == pytest.approx(1.0)


@pytest.mark.parametrize("name", SAMPLES)
def test_relevance_is_conserved_from_the_output_to_the_image(name: str) -> None:
    graph = SAMPLES[name]()
    shares = relevance_shares(graph)
    assert shares[graph.input.id] == pytest.approx(1.0)
    assert all(0 < share <= 1 + 1e-12 for share in shares.values())
    assert set(shares) == {tensor.node for tensor in stored_tensors(graph)}


@settings(deadline=None, derandomize=True, max_examples=60)
@given(graph=grown_graphs())
def test_what_searches_grow(graph: Graph) -> None:
    """Relevance is conserved, and the indices depend on the architecture, not on ids."""
    shares = relevance_shares(graph)
    assert shares[graph.input.id] == pytest.approx(1.0)
    assert 0 < sensitivity_mean(graph) <= sensitivity_max(graph)
    assert sensitivity(graph) > 0
    shifted = tuple(Node(node.id + 7, node.op, tuple(source + 7 for source in node.inputs)) for node in graph)
    other = Graph(shifted, graph.output + 7)
    for index in (sensitivity, sensitivity_mean, sensitivity_max, exposure, adcr):
        assert index(other) == pytest.approx(index(graph))


@settings(deadline=None, derandomize=True, max_examples=30)
@given(graph=grown_graphs(most=4))
def test_shares_are_sums_over_paths(graph: Graph) -> None:
    """The definition once more, node by node and path by path instead of over stored tensors."""

    def to_output(node_id: int) -> float:
        if node_id == graph.output:
            return 1.0
        return sum(part(node_id, user) * to_output(user) for user in graph.users[node_id])

    def part(node_id: int, user: int) -> float:
        node = graph[user]
        if isinstance(node.op, Concat):
            return math.prod(graph.shapes[node_id]) / math.prod(graph.shapes[user])
        return 1 / len(node.inputs) if isinstance(node.op, Add | WeightedAdd) else 1.0

    shares = relevance_shares(graph)
    for tensor in stored_tensors(graph):
        assert shares[tensor.node] == pytest.approx(to_output(tensor.node))


def test_logits_that_are_a_view() -> None:
    b = Builder(1, 4, 4)
    b.add(Conv(out_channels=2, kernel=3, padding=1))
    b.add(Conv(out_channels=3, kernel=1, padding=0))
    b.add(GlobalAvgPool())
    view = b.add(Flatten())
    graph = Graph(tuple(b.nodes), view)
    assert sensitivity(graph) == pytest.approx(1 / 32 + 1 / 48)


def test_nothing_between_image_and_logits() -> None:
    b = Builder(1, 2, 2)
    b.add(Flatten())
    graph = Graph((*b.nodes, Node(3, Linear(out_features=2), (2,))), 3)
    assert (sensitivity(graph), sensitivity_mean(graph), sensitivity_max(graph)) == (0.0, 0.0, 0.0)
    assert adcr(graph) == (4 + 10 + 2) / 8
    assert exposure(graph) == 0.0


def test_exposure_is_elements_times_maps_over_parameters() -> None:
    b = Builder(1, 4, 4)
    b.add(Conv(out_channels=2, kernel=3, padding=1))
    b.add(Conv(out_channels=3, kernel=1, padding=0))
    graph = b.head(classes=5)  # what is averaged is stored, too
    parameters = 18 + 6 + (15 + 5)
    assert exposure(graph) == pytest.approx((32 + 48 + 3) * 3 / parameters)


def test_adcr_counts_layers_with_macs_after_folding() -> None:
    b = Builder(1, 4, 4)
    b.conv(2)
    graph = b.head(classes=3)
    convolution = (16 + (18 + 2) + 32) / (32 * 9)
    linear = (2 + (6 + 3) + 3) / 6
    assert adcr(graph) == pytest.approx(convolution + linear)


def test_a_wider_layer_is_less_sensitive() -> None:
    graph = SAMPLES["flat"]()
    stem = next(node for node in graph if isinstance(node.op, Conv))
    edit = Edit(graph)
    edit.replace(stem.id, Conv(out_channels=8, kernel=3, padding=1, stride=2))
    assert sensitivity(edit.done()) < sensitivity(graph)
