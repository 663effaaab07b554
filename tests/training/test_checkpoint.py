"""A training cut in parts: bit for bit the training in one go."""

import dataclasses

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load, save

from hwnas.data import Augmentation
from hwnas.errors import StoreError
from hwnas.network import Network
from hwnas.training import Checkpoint, evaluate
from tests.training.samples import digits, equal, fresh, trained

BATCH = 16
TRAINERS = (
    {},
    {"momentum": 0.0},
    {"optimiser": "adamw", "learning_rate": 3e-3},
    {"schedule": "constant", "learning_rate": 0.02, "label_smoothing": 0.1},
    {"precision": "bfloat16"},
    {"schedule": "linear", "warm_up": 0.2, "decay_vectors": False, "average": 0.9, "keep_best": True, "distil_mix": 0.3},
)
AUGMENTATIONS = (Augmentation(), Augmentation(crop_padding=1, flip=True, cutout=2), Augmentation(mixup=0.2))


def in_parts(network: Network, images: int, stops: list[int], **changes: object) -> Network:
    """Trained until each stop, through bytes and another network object each time, evaluated in between."""
    checkpoint = None
    for until in [*stops, None]:
        did = trained(network, images, checkpoint=checkpoint, until=until, seed=9 if checkpoint else 0, **changes)
        evaluate(network, digits(), digits().validation)
        network = Network(network.graph, load(save(network.state())))
        if until is None or did.checkpoint is None:
            break
        assert did.images == until
        checkpoint = Checkpoint.from_state(load(save(did.checkpoint.state())))
    assert did.checkpoint is None
    return network


@settings(max_examples=25, deadline=None)
@given(
    data=st.data(),
    trainer=st.sampled_from(TRAINERS),
    augmentation=st.sampled_from(AUGMENTATIONS),
    name=st.sampled_from(("flat-4-8", "gap-4-8-12")),
    taught=st.booleans(),
)
def test_parts_of_a_training_give_the_bits_of_the_whole(data, trainer, augmentation, name, taught):
    steps = data.draw(st.integers(2, 40))
    stops = data.draw(st.sets(st.integers(1, steps - 1), min_size=1, max_size=3))
    changes = {**trainer, "augmentation": augmentation, **({"teacher": fresh(5, name), "distil_share": 0.5} if taught else {})}
    whole = fresh(1, name)
    trained(whole, steps * BATCH, **changes)
    parts = in_parts(fresh(1, name), steps * BATCH, [stop * BATCH for stop in sorted(stops)], **changes)
    assert equal(parts.state(), whole.state())


def test_a_part_that_begins_beyond_the_first_stretch_of_images_draws_it_again():
    whole, images = fresh(), 600 * BATCH  # a stretch of digits is 512 batches
    trained(whole, images, augmentation=Augmentation(crop_padding=1))
    parts = in_parts(fresh(), images, [511 * BATCH, 560 * BATCH], augmentation=Augmentation(crop_padding=1))
    assert equal(parts.state(), whole.state())


def test_the_last_part_ends_with_the_budget_and_leaves_nothing_to_go_on_with():
    network = fresh()
    did = trained(network, 100, until=100)
    assert (did.images, did.checkpoint) == (112, None)
    early = trained(fresh(), 100, until=33)
    assert early.images == 48
    assert early.checkpoint.steps == 3


def test_each_thing_that_a_checkpoint_holds_is_needed():
    whole, images = fresh(), 40 * BATCH
    trained(whole, images)
    half = fresh()
    checkpoint = trained(half, images, until=images // 2).checkpoint
    state = half.state()
    elsewhere = dataclasses.replace(checkpoint.place, stream=torch.Generator().manual_seed(7).get_state())
    for change in ({"optimiser": {}}, {"place": elsewhere}, {"steps": 19}, {}):
        network = Network(half.graph, state)
        trained(network, images, checkpoint=dataclasses.replace(checkpoint, **change))
        assert equal(network.state(), whole.state()) == (change == {})


def test_a_checkpoint_of_something_else_is_refused():
    checkpoint = trained(fresh(), 320, until=160).checkpoint
    with pytest.raises(StoreError, match="does not fit the network"):
        trained(fresh(name="gap-4-8-12"), 320, checkpoint=checkpoint)
    with pytest.raises(StoreError, match="before its end 10, got a checkpoint of step 10"):
        trained(fresh(), 320, checkpoint=checkpoint, until=160)
    with pytest.raises(StoreError, match=r"expected the tensors of a checkpoint, got 1\.weight"):
        Checkpoint.from_state({"1.weight": torch.zeros(1)})
