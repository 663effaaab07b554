"""Weights, images and logits for the export tests."""

from collections.abc import Mapping

import numpy as np
import onnxruntime
import torch
from torch import Tensor

from hwnas.graph import Graph
from hwnas.network import Network

STATISTICS = {1: ((0.4,), (0.25,)), 2: ((0.4, 0.6), (0.25, 0.5)), 3: ((0.49, 0.48, 0.45), (0.25, 0.24, 0.26))}


def random_state(graph: Graph, seed: int = 0) -> dict[str, Tensor]:
    """Weights in which every tensor matters: no batch norm is neutral, no mix is 0."""
    generator = torch.Generator().manual_seed(seed)
    state = {}
    for name, shape in graph.tensors().items():
        if name.endswith("running_var") or name.endswith("mix"):
            state[name] = torch.rand(shape, generator=generator) * 0.8 + 0.1
        else:
            state[name] = torch.randn(shape, generator=generator) * (0.5 if len(shape) == 1 else 0.3)
    return state


def statistics(graph: Graph) -> tuple[tuple[float, ...], tuple[float, ...]]:
    return STATISTICS[graph.shapes[graph.input.id][0]]


def images(graph: Graph, count: int = 3) -> Tensor:
    return torch.rand(count, *graph.shapes[graph.input.id], generator=torch.Generator().manual_seed(7))


def torch_logits(graph: Graph, state: Mapping[str, Tensor], batch: Tensor, *, normalised: bool) -> np.ndarray:
    if normalised:
        mean, std = (torch.tensor(values)[:, None, None] for values in statistics(graph))
        batch = (batch - mean) / std
    with torch.no_grad():
        return np.asarray(Network(graph, state).eval()(batch))


def onnx_logits(model: bytes, batch: Tensor) -> np.ndarray:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(["logits"], {"image": batch.numpy()})[0])
