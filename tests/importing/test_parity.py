"""Whether an imported network computes what its source does: rounding is told from a mistake."""

import pytest
import torch

from hwnas.importing.taken import Parity, parity
from hwnas.network import Network
from tests.export.samples import random_state
from tests.graphs import SAMPLES

GRAPH = SAMPLES["residual"]()
IMAGES = torch.randn(2, *GRAPH.shapes[GRAPH.input.id], generator=torch.Generator().manual_seed(0))


def logits() -> torch.Tensor:
    with torch.no_grad():
        found: torch.Tensor = Network(GRAPH, random_state(GRAPH)).eval()(IMAGES)
    return found


def test_the_same_network_needs_no_second_look() -> None:
    found = parity(GRAPH, random_state(GRAPH), IMAGES, logits())
    assert found.rounding == 0.0
    assert found.is_within(1e-6)


@pytest.mark.parametrize("mistake", [1e-3, 0.1])
def test_a_mistake_is_no_rounding(mistake: float) -> None:
    expected = logits()
    found = parity(GRAPH, random_state(GRAPH), IMAGES, expected + mistake * max(1.0, float(expected.abs().max())))
    assert 0.0 < found.rounding < 1e-4
    assert not found.is_within(1e-4)


def test_other_shapes_are_never_within() -> None:
    assert not parity(GRAPH, random_state(GRAPH), IMAGES, logits()[:, :1]).is_within(1.0)


@pytest.mark.parametrize(
    ("difference", "rounding", "within"),
    [(0.0299, 0.01, True), (0.0601, 0.01, False), (0.0601, 0.02, True), (14.9, 10.0, True), (15.1, 10.0, False)],
)
def test_what_the_networks_own_rounding_explains_is_accepted_up_to_a_limit(
    difference: float, rounding: float, within: bool
) -> None:
    assert Parity(difference=difference, largest=300.0, images=2, rounding=rounding).is_within(1e-4) is within
