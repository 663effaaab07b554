"""Small programs and images for the injection tests."""

import numpy as np
import torch

from hwnas.deployed.program import Program
from hwnas.graph import Add, Clip, Graph
from hwnas.resilience import FLOAT32, Format
from tests.export.samples import images, random_state, statistics
from tests.graphs import SAMPLES, Builder

__all__ = ["SAMPLES", "labels_of", "program", "tiny"]


def tiny() -> Graph:
    """Few enough bits for an exhaustive campaign: a residual network with ReLU6."""
    b = Builder(1, 5, 5)
    stem = b.conv(2, kernel=3)
    body = b.conv(2, kernel=1, relu=False)
    b.add(Add(), stem, body)
    b.add(Clip(high=6.0))
    return b.head(3)


def program(graph: Graph, layout: Format = FLOAT32, *, seed: int = 0) -> Program:
    mean, std = statistics(graph)
    return Program.of(graph, random_state(graph, seed), layout, mean=mean, std=std)


def tiny_program(layout: Format = FLOAT32) -> Program:
    """One of its weights lies in [1, 2): its top exponent bit makes it infinite or no number."""
    graph = tiny()
    state = random_state(graph)
    mean, std = statistics(graph)
    last = graph.output
    state[f"{last}.weight"][0, 0], state[f"{last}.weight"][1, 1] = 1.0, 1.5
    return Program.of(graph, state, layout, mean=mean, std=std)


def batch(graph: Graph, count: int = 6) -> torch.Tensor:
    return images(graph, count)


def labels_of(program: Program, pictures: torch.Tensor) -> np.ndarray:
    """Labels that the network gets right, all but every fifth."""
    found = program.run(pictures).argmax(1).numpy().copy()
    found[::5] = (found[::5] + 1) % program.graph.classes
    return found
