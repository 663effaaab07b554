"""The operators for networks that a user brings: padded shortcuts become projections, and many groups are pruned in one step."""

import numpy as np
import pytest
import torch

from hwnas.graph import Add, Clip, Graph
from hwnas.graph.ops import Pad, Slice
from hwnas.morphism import OPERATORS, from_json, operators_named, to_json
from hwnas.morphism.channel_groups import channel_groups, prunable_share
from hwnas.morphism.project_shortcut import ProjectShortcut
from hwnas.morphism.prune_groups import PruneGroups
from hwnas.network import Network
from tests.graphs import SAMPLES, Builder
from tests.morphism.states import assert_same_function, child_of, images_for, state_for

RNG = np.random.default_rng
PADS = [(8, 8), (0, 16), (16, 0)]


def option_a(channels: tuple[int, int], size: int = 9) -> Graph:
    """A residual block of 16 and one of 32 channels, whose shortcut is padded."""
    b = Builder(3, size, size)
    stem = b.conv(16)
    b.conv(16)
    b.add(Add(), stem, b.conv(16, relu=False))
    block = b.add(Clip())
    b.conv(32, stride=2)
    body = b.conv(32, relu=False)
    b.add(Slice(step=(2, 1)), block)
    b.add(Slice(step=(1, 2)))
    b.add(Add(), body, b.add(Pad(channels=channels)))
    b.add(Clip())
    return b.head()


@pytest.mark.parametrize("channels", PADS, ids=str)
@pytest.mark.parametrize("size", [8, 9])
def test_a_padded_shortcut_becomes_a_projection_that_computes_the_same(channels: tuple[int, int], size: int) -> None:
    start = option_a(channels, size)
    images, _ = images_for(start)
    state = state_for(start, images)
    (site,) = ProjectShortcut().sites(start)
    step = ProjectShortcut().apply(start, site, RNG(0))
    assert_same_function(Network(start, state), child_of(state, [step], images), images)
    assert not [node for node in step.graph if isinstance(node.op, Pad | Slice)]
    assert ProjectShortcut().sites(step.graph) == ()


def test_then_the_stages_themselves_can_be_pruned_and_widened() -> None:
    start = option_a((8, 8))
    (site,) = ProjectShortcut().sites(start)
    child = ProjectShortcut().apply(start, site, RNG(0)).graph
    assert sorted(group.width for group in channel_groups(start)) == [16, 32]
    assert sorted(group.width for group in channel_groups(child)) == [16, 16, 32, 32]
    assert prunable_share(start) < 0.96 < 0.99 < prunable_share(child)


def test_other_paddings_stay() -> None:
    b = Builder(3, 8, 8)
    b.conv(16)
    b.add(Pad(padding=1))
    b.add(Pad(padding=1, channels=(2, 2)))
    b.add(Pad(channels=(2, 2), value=1.0))
    assert ProjectShortcut().sites(b.head()) == ()


@pytest.mark.parametrize("name", [*SAMPLES, "option A"])
def test_pruning_groups_whose_weakest_channels_are_zero_keeps_the_function(name: str) -> None:
    start, prune = SAMPLES[name]() if name in SAMPLES else option_a((8, 8)), PruneGroups()
    if not prune.sites(start):
        assert sum(group.width > 8 for group in channel_groups(start)) < 2
        return
    images, _ = images_for(start)
    for seed in range(6):
        step = prune.apply(start, prune.sites(start)[0], RNG(seed))
        state = state_for(start, images)
        left = {rule.source: rule.count for rule in step.inheritance.index_sets}
        for group in channel_groups(start):
            source = f"{group.producers[0]}.weight"
            gone = torch.from_numpy(RNG(seed).permutation(group.width)[: group.width - left.get(source, group.width)].copy())
            for place in group.places:
                if place.axis == 0 and place.name != "running_var":
                    for first in place.starts:
                        state[place.tensor][first + gone] = 0
        assert_same_function(Network(start, state), child_of(state, [step], images), images)


def test_one_step_takes_half_of_every_group_and_leaves_multiples_of_eight() -> None:
    prune = PruneGroups(shares=(0.5,))
    start = option_a((8, 8))
    (site,) = prune.sites(start)
    widths = {
        tuple(sorted(group.width for group in channel_groups(prune.apply(start, site, RNG(seed)).graph))) for seed in range(20)
    }
    assert widths == {(8, 16), (8, 32), (16, 16)}


def test_a_search_that_begins_with_a_users_network_draws_them_too() -> None:
    more = [operator.name for operator in operators_named(brought=True)]
    assert more == [*OPERATORS, "project_shortcut", "prune_groups"]
    assert [operator.name for operator in operators_named()] == [*OPERATORS]
    assert [operator.name for operator in operators_named(["prune_groups"])] == ["prune_groups"]


def test_their_plans_come_back_from_json() -> None:
    start = option_a((8, 8))
    for operator in (ProjectShortcut(), PruneGroups()):
        plan = operator.apply(start, operator.sites(start)[0], RNG(0)).inheritance
        assert from_json(to_json(plan)) == plan
