"""The networks that the training loop is compared on can be written by hand."""

import pytest
import torch
from training_throughput import CASES, chains, module

from hwnas.graph import cost


@pytest.mark.parametrize("shape", sorted({shape for _, shape, _, _ in CASES}))
def test_every_chain_is_written_as_plain_layers(shape: tuple[int, int, int]) -> None:
    found = chains(shape)
    assert len(found) >= 5
    for _, graph in found:
        plain = module(graph).eval()
        assert plain(torch.zeros(2, *shape)).shape == (2, 10)
        assert sum(each.numel() for each in plain.parameters()) == cost(graph).parameters
