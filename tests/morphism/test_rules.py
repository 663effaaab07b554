"""The small rules that operators share: widths, kernels, signs, leftovers."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hwnas.graph import Add, AvgPool, Clip, Concat, Conv, Graph, MaxPool, WeightedAdd
from hwnas.morphism.kernel_reach import fits
from hwnas.morphism.non_negative import non_negative
from hwnas.morphism.tidy import tidy
from hwnas.morphism.widths import narrower, wider
from hwnas.network import Network
from tests.chains import STARTS, grown_graphs
from tests.graphs import Builder
from tests.morphism.states import images_for, state_for


@given(width=st.integers(1, 5000), factor=st.sampled_from([1.25, 1.5, 2.0]))
def test_wider(width: int, factor: float) -> None:
    new = wider(width, factor)
    assert new > width
    assert new <= 8 or new % 8 == 0
    assert width * factor <= new < max(width * factor, width + 1) + 8


@given(width=st.integers(2, 5000), removed=st.sampled_from([0.25, 0.5]))
def test_narrower(width: int, removed: float) -> None:
    new = narrower(width, removed)
    assert 1 <= new < width
    assert new <= 8 or new % 8 == 0
    assert abs(new - width * (1 - removed)) < 8


@pytest.mark.parametrize("kernel", range(1, 8))
@pytest.mark.parametrize("stride", range(1, 4))
def test_a_kernel_that_fits_has_no_dead_weight(kernel: int, stride: int) -> None:
    for padding, height, width in itertools.product(range(4), range(1, 6), (3, 8)):
        if min(height, width) + 2 * padding < kernel:
            continue
        conv = Conv(out_channels=1, kernel=kernel, padding=padding, stride=stride)
        weight = torch.zeros(1, 1, kernel, kernel, requires_grad=True)
        torch.nn.functional.conv2d(torch.ones(1, 1, height, width), weight, stride=stride, padding=padding).sum().backward()
        assert weight.grad is not None
        small = kernel <= min(height, width) + 1
        assert fits(conv, (1, height, width)) == (small and bool((weight.grad > 0).all()))


@settings(deadline=None, derandomize=True, max_examples=30)
@given(graph=grown_graphs(), seed=st.integers(0, 100))
def test_what_is_called_non_negative_is(graph: Graph, seed: int) -> None:
    images, _ = images_for(graph, 8, seed)
    network = Network(graph, state_for(graph, images, seed)).eval()
    least: dict[int, float] = {}
    with torch.no_grad():
        network.walk(images, after=lambda node, value: least.setdefault(node.id, float(value.min())) * 0 + value)
    assert all(least[node_id] >= 0 for node_id in non_negative(graph))


def test_non_negative_by_hand() -> None:
    b = Builder()
    one, two = b.conv(4), b.conv(4)
    signed = b.conv(4, two, relu=False)
    yes = [one, two, b.add(Add(), one, two), b.add(MaxPool(kernel=1, stride=1), one), b.add(Concat(), one, two)]
    no = [signed, b.add(Add(), one, signed), b.add(WeightedAdd(), one, two), b.add(AvgPool(kernel=1, stride=1), signed)]
    no.append(b.add(Clip(low=-1.0), signed))
    b.add(Concat(), *yes, *no)
    found = non_negative(b.head())
    assert found.issuperset(yes)
    assert not found.intersection(no)


def kinds(graph: Graph) -> list[str]:
    return [node.op.kind for node in graph]


def test_tidy_takes_out_what_does_nothing() -> None:
    b = Builder()
    stem = b.conv(4)
    b.add(Clip())
    b.add(WeightedAdd(), len(b.nodes), len(b.nodes))
    b.add(Add(), len(b.nodes), len(b.nodes), len(b.nodes))
    assert kinds(tidy(b.head()))[stem:] == ["global_avg_pool", "flatten", "linear"]


@pytest.mark.parametrize(("first", "second", "idle"), [(6.0, 6.0, True), (4.0, 6.0, True), (6.0, 4.0, False)])
def test_tidy_takes_out_the_wider_of_two_clips(first: float, second: float, idle: bool) -> None:
    b = Builder()
    b.conv(4, relu=False)
    b.add(Clip(high=first))
    b.add(Clip(high=second))
    assert kinds(tidy(b.head())).count("clip") == (1 if idle else 2)


def test_tidy_leaves_networks_without_leftovers_alone() -> None:
    for graph in (make() for make in STARTS.values()):
        assert tidy(graph) is graph
