from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwnas.graph import BatchNorm, Conv, Flatten, GlobalAvgPool, architecture_id, cost
from hwnas.morphism import OPERATORS
from hwnas.morphism.kernel_reach import fits
from hwnas.spaces import initial_graphs


@settings(deadline=None, derandomize=True, max_examples=80)
@given(
    channels=st.sampled_from([1, 2, 3, 4]),
    height=st.integers(1, 224),
    width=st.integers(1, 224),
    classes=st.sampled_from([2, 3, 10, 43, 1000]),
)
def test_images_of_any_size_have_sound_starts(channels: int, height: int, width: int, classes: int) -> None:
    found = initial_graphs((channels, height, width), classes)
    assert len(found) >= 4
    assert len({architecture_id(graph) for _, graph in found}) == len(found) == len({name for name, _ in found})
    for name, graph in found:
        assert graph.shapes[graph.input.id] == (channels, height, width)
        assert graph.classes == classes
        assert cost(graph).parameters < 750_000 + 600 * classes, name
        assert all(OPERATORS[operator].sites(graph) for operator in ("widen", "prune"))
        for node in graph:
            if isinstance(node.op, BatchNorm):  # folds into the convolution before it, which has no bias
                before = graph[node.inputs[0]].op
                assert isinstance(before, Conv)
                assert not before.bias


@pytest.mark.parametrize(
    ("shape", "low", "high"), [((1, 8, 8), (50, 100), (20_000, 25_000)), ((3, 32, 32), (1000, 3000), (600_000, 700_000))]
)
def test_sizes_are_trivial(shape: tuple[int, int, int], low: tuple[int, int], high: tuple[int, int]) -> None:
    sizes = sorted(cost(graph).parameters for _, graph in initial_graphs(shape, 10))
    assert len(sizes) >= 8
    assert low[0] <= sizes[0] <= low[1]
    assert high[0] <= sizes[-1] <= high[1]
    assert all(b / a < 5 for a, b in pairwise(sizes)), sizes  # no wide gap on the way


@pytest.mark.parametrize("side", [4, 5, 6, 7, 8, 15, 16, 17, 31, 32, 33, 64, 224])
def test_no_weight_of_a_start_meets_padding_alone(side: int) -> None:
    for name, graph in initial_graphs((3, side, side), 10):
        for node in graph:
            if isinstance(node.op, Conv):
                assert fits(node.op, graph.shapes[node.inputs[0]]), (name, node)


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 32, 32), (3, 224, 160)])
def test_kinds_of_network(shape: tuple[int, int, int]) -> None:
    graphs = dict(initial_graphs(shape, 10))
    pooled = {name for name, graph in graphs.items() if any(isinstance(node.op, GlobalAvgPool) for node in graph)}
    deep = {name for name, graph in graphs.items() if any(isinstance(n.op, Conv) and n.op.groups > 1 for n in graph)}
    strided = {name for name, graph in graphs.items() if any(isinstance(n.op, Conv) and n.op.stride != 1 for n in graph)}
    assert pooled
    assert set(graphs) - pooled
    assert deep == {name for name in graphs if name.startswith("separable")} != set()
    assert strided
    for name in set(graphs) - pooled:
        flat = next(node for node in graphs[name] if isinstance(node.op, Flatten))
        assert graphs[name].shapes[flat.inputs[0]][1] * graphs[name].shapes[flat.inputs[0]][2] <= 16


def test_large_images_are_brought_down_first() -> None:
    for _, graph in initial_graphs((3, 224, 224), 10):
        maps = [graph.shapes[node.id][1:] for node in graph if len(graph.shapes[node.id]) == 3]
        assert min(side for size in maps for side in size if size != (1, 1)) <= 8
        assert cost(graph).macs < 130_000_000
