import numpy as np
import pytest
import torch

from hwnas.graph import Add, Concat, Conv, Graph, WeightedAdd, architecture_id
from hwnas.morphism import OPERATORS, Site
from hwnas.morphism.channel_groups import channel_groups
from hwnas.morphism.inheritance import BATCH_NORM_TENSORS
from hwnas.network import Network
from tests.chains import STARTS
from tests.graphs import SAMPLES, Builder
from tests.morphism.states import assert_same_function, child_of, images_for, state_for

RNG = np.random.default_rng


@pytest.mark.parametrize("name", STARTS)
def test_pruning_channels_that_are_zero_keeps_the_function(name: str) -> None:
    """Which shows that the same channels go everywhere: the right ones, in their blocks, in depthwise layers and in sums."""
    start, prune = STARTS[name](), OPERATORS["prune"]
    images, _ = images_for(start)
    for seed, group in enumerate(group for group in channel_groups(start) if group.width > 1):
        step = prune.apply(start, Site((group.producers[0],)), RNG(seed))
        gone = group.width - step.inheritance.index_sets[0].count
        channels = torch.from_numpy(RNG(seed).permutation(group.width)[:gone].copy())
        state = state_for(start, images)
        for place in group.places:
            if place.axis == 0 and place.name != "running_var":
                for first in place.starts:
                    state[place.tensor][first + channels] = 0
        assert_same_function(Network(start, state), child_of(state, [step], images), images)


@pytest.mark.parametrize(("name", "conv"), [("plain", 6), ("flat", 2), ("residual", 12), ("shared", 9)])
def test_a_separable_kernel_is_factorised_without_loss(name: str, conv: int) -> None:
    start = STARTS[name]()
    images, _ = images_for(start)
    state = state_for(start, images)
    weight = state[f"{conv}.weight"]
    state[f"{conv}.weight"] = weight[:, :, :1, :1] * weight[:1]  # filter times one window for each input channel
    step = OPERATORS["separable"].apply(start, Site((conv,)), RNG(0))
    new = [node.op for node in step.graph if node.id not in start]
    old = start[conv].op
    assert isinstance(old, Conv)
    assert new == [Conv(out_channels=weight.shape[1], kernel=3, padding=1, stride=old.stride, groups=weight.shape[1])]
    assert_same_function(Network(start, state), child_of(state, [step], images), images)


@pytest.mark.parametrize("name", ["plain", "residual", "separable", "dense"])
def test_removing_what_was_inserted_gives_the_parent_back(name: str) -> None:
    start = SAMPLES[name]()
    images, _ = images_for(start)
    state = state_for(start, images)
    for inserter, remover, keep in (
        ("insert_convolution", "remove_layer", None),
        ("skip_concat", "remove_skip", Concat),
        ("skip_add", "remove_skip", WeightedAdd),
    ):
        for seed, site in enumerate(OPERATORS[inserter].sites(start)):
            there = OPERATORS[inserter].apply(start, site, RNG(seed))
            fresh = [node for node in there.graph if node.id not in start]
            back_sites = [
                back
                for back in OPERATORS[remover].sites(there.graph)
                if fresh and back.nodes[0] == fresh[0].id and (back.nodes[1] == 1 if keep else back.nodes[1] == fresh[-1].id)
            ]
            for back_site in back_sites:
                back = OPERATORS[remover].apply(there.graph, back_site, RNG(0))
                assert architecture_id(back.graph) == architecture_id(start)
                assert_same_function(Network(start, state), child_of(state, [there, back], images), images)
            assert back_sites or not fresh or (keep is Concat and name == "dense")  # dense has a grouped convolution


def concatenated() -> Graph:
    """Branches of 4 and 6 channels side by side, read by a depthwise, a plain convolution and, flattened, the logits."""
    b = Builder()
    stem = b.conv(3)
    left, right = b.conv(4, stem), b.conv(6, stem)
    both = b.add(Concat(), left, right)
    deep = b.conv(10, both, groups=10)
    after = b.conv(5, deep)
    b.add(Concat(), both, after)
    return b.head(pool=False)


@pytest.mark.parametrize(("position", "dropped"), [(0, slice(0, 4)), (1, slice(4, 10))])
def test_a_dropped_concat_input_is_as_if_it_were_zero(position: int, dropped: slice) -> None:
    start = concatenated()
    images, _ = images_for(start)
    state = state_for(start, images)
    join = next(node.id for node in start if isinstance(node.op, Concat))
    step = OPERATORS["remove_skip"].apply(start, Site((join, position)), RNG(0))
    child = child_of(state, [step], images)
    source = start[join].inputs[position] - 1  # the branch's batch norm
    for name in BATCH_NORM_TENSORS[:2]:
        state[f"{source}.{name}"][:] = 0  # the branch gives 0
    after = next(node for node in start if isinstance(node.op, Conv) and node.op.out_channels == 5)
    state[f"{after.id}.weight"][:, dropped] = 0  # what the depthwise layer's batch norm makes of 0 is not 0
    assert_same_function(Network(start, state), child, images)


def test_a_concat_input_that_is_tied_to_others_stays() -> None:
    b = Builder()
    stem = b.conv(4)
    b.add(Concat(), stem, stem)
    short = b.conv(8, stem)
    b.add(Add(), short, short - 3)
    graph = b.head()
    joins = {site.nodes[0] for site in OPERATORS["remove_skip"].sites(graph)}
    assert {graph[join].op for join in joins} == {Add()}


def test_a_residual_block_loses_its_body_whole() -> None:
    graph = SAMPLES["residual"]()
    child = OPERATORS["remove_skip"].apply(graph, Site((10, 1)), RNG(0)).graph
    assert {node.id for node in graph} - {node.id for node in child} == {5, 6, 7, 8, 9, 10, 11}  # the second ReLU is idle
    assert child.users[4] == (12, 17)


def test_layers_that_cannot_go_stay() -> None:
    remove = OPERATORS["remove_layer"]
    assert remove.sites(SAMPLES["plain"]()) == (Site((10, 12)),)
    assert remove.sites(SAMPLES["residual"]()) == (Site((5, 7)), Site((8, 9)), Site((15, 16)))
    b = Builder(4)
    b.conv(4)
    assert remove.sites(b.head()) == ()  # the last convolution
    b = Builder()
    stem = b.conv(4)
    b.add(Concat(), stem, b.conv(4, stem))
    assert remove.sites(b.head()) == ()  # a concat would read the stem twice
    b = Builder()
    stem = b.conv(4)
    conv = b.conv(4, stem, relu=False) - 1
    b.add(Add(), conv, conv + 1)
    assert remove.sites(b.head()) == ()  # the batch norm could no longer fold


def test_a_body_of_one_layer_goes_with_its_sum() -> None:
    b = Builder()
    stem = b.conv(4)
    body = b.conv(4, stem)
    b.add(Add(), stem, body)
    graph = b.head()
    child = OPERATORS["remove_layer"].apply(graph, Site((body - 2, body)), RNG(0)).graph
    assert [node.op.kind for node in child] == ["input", "conv", "batch_norm", "clip", "global_avg_pool", "flatten", "linear"]
