"""Random graphs for tests: the samples, the initial networks, and what chains of operators make of them."""

from collections.abc import Callable, Sequence

import numpy as np
from hypothesis import strategies as st

from hwnas.graph import Add, Concat, Conv, Graph
from hwnas.morphism import OPERATORS, Morphed, Operator, morph
from hwnas.spaces import initial_graphs
from tests.graphs import SAMPLES, Builder


def shared() -> Graph:
    """A concat that two convolutions read, one of them with a bias, and a flatten head."""
    b = Builder(2, 6, 4)
    stem = b.conv(5)
    both = b.add(Concat(), b.conv(4, stem, kernel=1), stem)
    biased = b.add(Conv(out_channels=6, kernel=3, padding=1, stride=2, bias=True), both)
    b.add(Add(), biased, b.conv(6, both, stride=2))
    return b.head(3, pool=False)


STARTS: dict[str, Callable[[], Graph]] = {**SAMPLES, "shared": shared}
# The tiny ones: of 64 random filters some are silent for a whole batch, and behind those no new weight can learn.
STARTS |= {name: lambda graph=graph: graph for name, graph in initial_graphs((1, 8, 8), 10)[:8]}
STARTS |= {name: lambda graph=graph: graph for name, graph in initial_graphs((3, 20, 12), 3)[:4]}
EXACT = tuple(operator for operator in OPERATORS.values() if operator.exact)


def chain(
    start: Graph, seed: int, length: int, operators: Sequence[Operator] = tuple(OPERATORS.values())
) -> list[tuple[str, Morphed]]:
    """Up to ``length`` random steps from ``start``, each with its operator's name."""
    rng = np.random.default_rng(seed)
    steps: list[tuple[str, Morphed]] = []
    while len(steps) < length and (step := morph(steps[-1][1].graph if steps else start, rng, operators)) is not None:
        steps.append(step)
    return steps


@st.composite
def grown_graphs(draw: st.DrawFn, most: int = 8) -> Graph:
    """A start, or what a chain of up to ``most`` operators makes of it."""
    start = STARTS[draw(st.sampled_from(sorted(STARTS)))]()
    steps = chain(start, draw(st.integers(0, 10_000)), draw(st.integers(0, most)))
    return steps[-1][1].graph if steps else start
