"""Latency without a device: an additive model fitted to a run's own measurements (our definition).

The latency of a network is taken as a constant plus a sum over its stored tensors: for each kind of computation a cost a call,
a cost a multiply-accumulate and a cost a value moved, none of them negative. Fitted by non-negative least squares on relative
errors, so that a 10-microsecond network counts as much as a 10-millisecond one.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from hwnas.graph import Graph, LayerCost, layer_costs

_KINDS = ("dense", "depthwise", "linear", "pool", "join")
_FEATURES = 3  # a call, its MACs, the values it moves
# Keeps coefficients that few networks speak of small; relative to one network's squared relative error.
_RIDGE = 1e-3


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyPredictor:
    """An additive latency model; ``coefficients`` (1 + 3 * 5,) in ms a unit of each feature. Make one by ``fit``."""

    coefficients: NDArray[np.float64]

    @classmethod
    def fit(cls, graphs: Sequence[Graph], latencies_ms: Sequence[float]) -> "LatencyPredictor":
        """Fit to measured latencies (n,), all positive; with none measured every prediction is 1 ms."""
        if not graphs:
            return cls(coefficients=np.eye(1 + _FEATURES * len(_KINDS))[0])
        rows = np.stack([features(graph) for graph in graphs])
        latencies = np.asarray(latencies_ms, dtype=np.float64)
        scale = np.maximum(rows.max(axis=0), 1.0)
        relative = rows / scale / latencies[:, np.newaxis]
        ridge = np.sqrt(_RIDGE) * np.eye(rows.shape[1]) / np.median(latencies)
        solution, _ = nnls(np.vstack([relative, ridge]), np.concatenate([np.ones(len(rows)), np.zeros(len(ridge))]))
        return cls(coefficients=solution / scale)

    def predict(self, graph: Graph) -> float:
        """The latency in ms, positive."""
        return max(float(features(graph) @ self.coefficients), 1e-6)


def features(graph: Graph) -> NDArray[np.float64]:
    """The constant 1, then calls, MACs and moved values of each kind of computation: (16,)."""
    table = np.zeros((len(_KINDS), _FEATURES))
    for layer in layer_costs(graph):
        moved = layer.input_elements + layer.weight_elements + layer.output_elements
        table[_KINDS.index(_kind(graph, layer))] += (1, layer.macs, moved)
    return np.concatenate([[1.0], table.ravel()])


def _kind(graph: Graph, layer: LayerCost) -> str:
    if layer.kind == "conv":
        return "dense" if getattr(graph[layer.stored.producer].op, "groups", 1) == 1 else "depthwise"
    if layer.kind == "linear":
        return "linear"
    return "pool" if "pool" in layer.kind else "join"
