"""Every new weight of an exact morphism has a gradient within two steps (DESIGN.md, idea 2), but for what a ReLU silences.

Which weights a ReLU cuts off is computed, not guessed: the child's graph with random weights everywhere (no zeros, no
identities), its ReLUs and max-pools held to what they let through in the child on this very batch. A weight with a gradient
there must have one in the child. And no morphism may silence what the parent lets through.
"""

from collections.abc import Sequence

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Generator, Tensor
from torch.nn.functional import cross_entropy, max_pool2d

from hwnas.graph import Clip, Graph, MaxPool, Node
from hwnas.morphism import OPERATORS, Morphed, Site
from hwnas.network import Network, State, transfer
from tests.chains import EXACT, STARTS, chain
from tests.graphs import Builder
from tests.morphism.states import child_of, images_for, state_for

NOISE = 1e-4  # of a tensor's largest gradient: batch norms leave rounding errors where there is none


class Pattern:
    """What a network lets through on one batch, by node: ``masks`` of ReLUs, ``picks`` of max-pools, and how many channels of
    each feature map are ``silent``: nowhere above 0."""

    def __init__(self, network: Network, images: Tensor) -> None:
        self.masks: dict[int, Tensor] = {}
        self.picks: dict[int, Tensor] = {}
        self.silent: dict[int, int] = {}
        self.logits = network.train().walk(images, before=self._before, after=self._after)

    def _before(self, node: Node, reads: Sequence[Tensor]) -> None:
        op = node.op
        if isinstance(op, Clip):
            self.masks[node.id] = (reads[0] > op.low) & (reads[0] < op.high)
        elif isinstance(op, MaxPool):
            self.picks[node.id] = max_pool2d(reads[0].detach(), op.kernel, op.stride, op.padding, return_indices=True)[1]

    def _after(self, node: Node, value: Tensor) -> Tensor:
        if value.dim() == 4:
            self.silent[node.id] = int((value <= 0).transpose(0, 1).flatten(1).all(1).sum())
        return value


def new_entries(state: State, step: Morphed) -> State:
    """Which entries of the child's tensors no tensor of the parent gave: those that a parent of NaN leaves finite."""
    unknown = {name: torch.full_like(tensor, torch.nan) for name, tensor in state.items()}
    child = transfer([(step.graph, step.inheritance)], unknown, Generator().manual_seed(0))
    return {name: tensor.isfinite() for name, tensor in child.items()}


def two_steps(network: Network, images: Tensor, labels: Tensor) -> tuple[State, list[Pattern]]:
    """Which weights had a gradient in either of two steps of training, and the pattern of each step."""
    alive = {name: torch.zeros_like(tensor, dtype=torch.bool) for name, tensor in network.named_parameters()}
    optimiser, patterns = torch.optim.SGD(network.parameters(), lr=0.01), []
    for _ in range(2):
        optimiser.zero_grad()
        patterns.append(Pattern(network, images))
        cross_entropy(patterns[-1].logits, labels).backward()
        for name, tensor in network.named_parameters():
            assert tensor.grad is not None
            alive[name] |= tensor.grad != 0
        optimiser.step()
    return alive, patterns


def reached(graph: Graph, pattern: Pattern, images: Tensor, seed: int) -> State:
    """Which weights have a gradient where all weights are random and ReLUs and max-pools do as in ``pattern``."""
    generator, network, inputs = Generator().manual_seed(seed), Network(graph), {}
    with torch.no_grad():
        for tensor in network.parameters():
            spread = (tensor[0].numel() if tensor.dim() > 1 else 1) ** -0.5
            tensor.copy_(spread * torch.randn(tensor.shape, generator=generator))

    def before(node: Node, reads: Sequence[Tensor]) -> None:
        inputs[node.id] = reads

    def after(node: Node, value: Tensor) -> Tensor:
        if node.id in pattern.masks:
            return inputs[node.id][0] * pattern.masks[node.id]
        if node.id in pattern.picks:
            return inputs[node.id][0].flatten(2).gather(2, pattern.picks[node.id].flatten(2)).view_as(value)
        return value

    logits = network.train().walk(images, before=before, after=after)
    (logits * torch.randn(logits.shape, generator=generator)).sum().backward()
    gradients = {name: tensor.grad.abs() for name, tensor in network.named_parameters() if tensor.grad is not None}
    return {name: gradient > NOISE * gradient.max() for name, gradient in gradients.items()}


def assert_new_weights_learn(start: Graph, step: Morphed, seed: int) -> int:
    """Gives how many new weights were found to learn."""
    images, labels = images_for(start, seed=seed)
    state, found = state_for(start, images, seed), 0
    alive, patterns = two_steps(child_of(state, [step], images), images, labels)
    possible = [reached(step.graph, pattern, images, seed) for pattern in patterns]
    for name, new in new_entries(state, step).items():
        if name in alive:
            wanted = new & possible[0][name] & possible[1][name]
            dead = (wanted & ~alive[name]).nonzero().tolist()
            assert not dead, f"{name} of {step.graph[int(name.split('.')[0])]}: {dead}"
            found += int(wanted.sum())
    before = Pattern(Network(start, state), images).silent
    for clip in patterns[0].masks:
        source = clip
        while source not in start:  # a new ReLU has nothing to let through but what the parent let through before it
            source = step.graph[source].inputs[0]
        assert patterns[0].silent[clip] == before[source], f"channels fall silent at {step.graph[clip]}"
    return found


@settings(deadline=None, derandomize=True, max_examples=100)
@given(name=st.sampled_from(sorted(STARTS)), operator=st.sampled_from(EXACT), seed=st.integers(0, 10_000))
def test_every_new_weight_learns(name: str, operator, seed: int) -> None:
    start = STARTS[name]()
    for _, step in chain(start, seed, 1, [operator]):
        assert assert_new_weights_learn(start, step, seed) > 0


def test_skips_that_could_not_learn_are_no_sites() -> None:
    b = Builder(2, 1, 1)
    b.conv(4, kernel=1)
    assert OPERATORS["skip_add"].sites(b.head()) == ()  # the global average of one pixel is that pixel
    start = STARTS["residual"]()
    there = OPERATORS["skip_add"].apply(start, Site((7, 4)), np.random.default_rng(0)).graph
    again = {site.nodes for site in OPERATORS["skip_add"].sites(there)}
    assert not again & {(7, 4), (there.users[7][0], 4), (there.users[7][0], 7)}
