import numpy as np
import pytest

from hwnas.graph import Add, BatchNorm, Clip, Concat, Conv, Flatten, Graph, Linear
from hwnas.morphism import OPERATORS
from hwnas.morphism.channel_groups import ChannelGroup, channel_groups, read_channels
from tests.chains import STARTS
from tests.graphs import SAMPLES, Builder


def summary(group: ChannelGroup) -> tuple[int, tuple[int, ...], dict[tuple[str, int], tuple[int, tuple[int, ...], int]]]:
    """Width, producers, and for each (tensor, axis) its size, the starts and the block; batch norms by their scale alone."""
    places = {(p.tensor, p.axis): (p.size, p.starts, p.block) for p in group.places if p.name in ("weight", "bias")}
    norms = {place.node for place in group.places if place.name == "running_var"}
    return group.width, group.producers, {key: v for key, v in places.items() if key[0] not in {f"{n}.bias" for n in norms}}


def test_residual_by_hand() -> None:
    stem, first, second, projection = map(summary, channel_groups(SAMPLES["residual"]()))
    one = ((0,), 1)
    assert stem == (
        8,
        (2, 8),
        dict.fromkeys([("2.weight", 0), ("3.weight", 0), ("5.weight", 1), ("8.weight", 0), ("9.weight", 0)], (8, *one))
        | dict.fromkeys([("12.weight", 1), ("17.weight", 1)], (8, *one)),
    )
    assert first == (8, (5,), dict.fromkeys([("5.weight", 0), ("6.weight", 0), ("8.weight", 1)], (8, *one)))
    assert second[:2] == (16, (12,))
    assert projection[:2] == (16, (15, 17))
    assert projection[2][("23.weight", 1)] == (16, (0,), 1)


def test_depthwise_convolutions_are_tied_to_what_they_read() -> None:
    stem, middle, last = channel_groups(SAMPLES["separable"]())
    assert stem.producers == (2,)
    assert {place.tensor for place in stem.places if place.axis == 0} >= {"2.weight", "5.weight", "6.running_mean"}
    assert [place.tensor for place in stem.places if place.axis == 1] == ["8.weight"]
    assert (middle.producers, last.producers) == ((8,), (15,))


def test_a_grouped_convolution_holds_all_around_it() -> None:
    assert channel_groups(SAMPLES["dense"]()) == ()


def test_concat_shifts_and_flatten_makes_blocks() -> None:
    b = Builder(1, 4, 2)
    stem = b.conv(3)
    side = b.add(Conv(out_channels=5, kernel=1, padding=0, bias=True), stem)
    b.add(Concat(), side, stem, side)
    b.add(BatchNorm())
    graph = b.head(pool=False)
    norm, logits = graph.output - 2, graph.output
    first, second = channel_groups(graph)
    assert summary(first)[2][(f"{norm}.weight", 0)] == (13, (5,), 1)
    assert summary(first)[2][(f"{logits}.weight", 1)] == (13 * 8, (40,), 8)
    assert summary(second)[2][(f"{norm}.weight", 0)] == (13, (0, 8), 1)
    assert summary(second)[2][(f"{logits}.weight", 1)] == (13 * 8, (0, 64), 8)
    assert summary(second)[2][(f"{side}.bias", 0)] == (5, (0,), 1)
    dropped = read_channels(graph, norm - 1, 2)
    assert dropped is not None
    assert summary(dropped) == (5, (), {(f"{norm}.weight", 0): (13, (8,), 1), (f"{logits}.weight", 1): (104, (64,), 8)})


def mixed_sum() -> Graph:
    """An add of a concat (4 + 4) and a convolution's 8 channels: cut into runs in different ways."""
    b = Builder()
    stem = b.conv(6)
    both = b.add(Concat(), b.conv(4, stem), b.conv(4, stem))
    b.add(Add(), both, b.conv(8, stem))
    b.conv(7)
    return b.head()


def test_sums_of_unlike_runs_have_a_fixed_width() -> None:
    assert [group.width for group in channel_groups(mixed_sum())] == [6, 7]


def test_sums_of_like_concats_are_tied_run_by_run() -> None:
    b = Builder()
    stem = b.conv(6)
    branches = [b.conv(width, stem) for width in (4, 5, 4, 5)]
    one, two = b.add(Concat(), *branches[:2]), b.add(Concat(), *branches[2:])
    b.add(Add(), one, two)
    groups = channel_groups(b.head())
    assert [(group.width, len(group.producers)) for group in groups] == [(6, 1), (4, 2), (5, 2)]


def test_hidden_linear_layers_are_groups_and_logits_are_not() -> None:
    b = Builder()
    b.conv(4)
    b.add(Flatten())
    hidden = b.add(Linear(out_features=12))
    b.add(Clip())
    graph = Graph(tuple(b.nodes) + (type(b.nodes[0])(hidden + 2, Linear(out_features=3), (hidden + 1,)),), hidden + 2)
    assert [(group.width, group.producers) for group in channel_groups(graph)] == [(4, (2,)), (12, (hidden,))]


@pytest.mark.parametrize("name", ["plain", "flat", "residual", "separable", "separable-gap-4-8-16"])
def test_every_channel_of_a_network_can_grow(name: str) -> None:
    """All widths but the image's and the logits' are wider after each group was widened once."""
    start, rng, widen = STARTS[name](), np.random.default_rng(0), OPERATORS["widen"]
    graph = start
    for site in widen.sites(start):
        graph = widen.apply(graph, site, rng).graph
    for node in start:
        if node.id not in (start.input.id, start.output):
            grown = graph.shapes[node.id][0] > start.shapes[node.id][0]
            assert grown or node.inputs == (start.input.id,), node  # a depthwise first layer follows the image
