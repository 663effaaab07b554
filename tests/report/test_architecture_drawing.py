"""What the page draws of a network: one row for each stored tensor, its words, and costs that add up."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwnas.candidate import Candidate
from hwnas.graph import Clip, Conv, MaxPool, Op, ScaledAdd, cost
from hwnas.report.architecture import described, layers_of
from tests.graphs import SAMPLES
from tests.store.store_samples import child, initial


@given(st.sampled_from(sorted(SAMPLES)), st.integers(0, 50), st.integers(1, 3))
def test_rows_add_up_to_the_network_and_read_only_what_stands_above(name: str, seed: int, steps: int) -> None:
    grown: Candidate = child(initial(0, name), 1, seed, steps)
    layers = layers_of(grown.graph)
    costs = cost(grown.graph)
    assert sum(layer.parameters for layer in layers) == costs.parameters
    assert sum(layer.macs for layer in layers) == costs.macs
    assert layers[0].kind == "input"
    assert math.prod(layers[-1].shape) == grown.graph.classes
    for place, layer in enumerate(layers):
        assert all(read < place for read in layer.reads)
    read = {place for layer in layers for place in layer.reads}
    assert read == set(range(len(layers) - 1))  # all but the logits


@pytest.mark.parametrize(
    ("op", "words"),
    [
        (Conv(out_channels=8, kernel=3, padding=1), "conv 3×3"),
        (Conv(out_channels=8, kernel=(1, 5), padding=(0, 2), stride=2, groups=8), "conv 1×5, groups 8, stride 2"),
        (MaxPool(), "max pool 2×2"),
        (Clip(), "relu"),
        (Clip(low=0.0, high=6.0), "relu6"),
        (Clip(low=-1.0, high=1.0), "clip, high 1.0, low -1.0"),
        (ScaledAdd(factors=(0.5, 2.0)), "scaled add, factors 0.5 and 2.0"),
    ],
)
def test_an_operation_in_words(op: Op, words: str) -> None:
    assert described(op) == words
