"""Latency before it is measured: an additive model fitted to a run's own measurements (our definition).

The latency of a network is a constant plus a sum over the computations of its stored tensors, no coefficient negative, fitted by
non-negative least squares on relative errors, so that a 10-microsecond network counts as much as a 10-millisecond one.

1. Of each kind of computation: a cost a call, a cost a MAC and a cost a value moved. MACs are counted with the output channels
   rounded up to whole vectors: that is what a blocked kernel computes.
2. Dense convolutions: a cost a broadcast. Such a kernel fills up to four vectors of outputs from one input value, so few output
   channels cost more loads a MAC.
3. Convolutions whose channels are no multiple of 4, which ONNX Runtime does not block: a cost a call, and for depthwise ones,
   which then run channel by channel, a cost a MAC.
4. MACs as they are, for devices that pad nothing.

On networks that these were not chosen on (168 each, grown from the initial ones, AVX-512, one thread), each generation of 8
predicted from the ones before it: median error 1.4 % and Spearman 0.99 for digits (1 alone: 1.9 %, without rounding 4.4 %), 6.1 %
and 0.98 for 3 x 32 x 32 (without 2: 9.1 %, without any of this 20 %).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from hwnas.graph import Graph, LayerCost, layer_costs

_KINDS = ("dense", "depthwise", "linear", "pool", "join")
_FEATURES = 1 + 3 * len(_KINDS) + 5
VECTOR = 16  # channels of a vector: float32 on AVX-512; a narrower vector shows in the plain MACs
VECTORS_A_LOAD = 4
BLOCKED_MULTIPLE = 4
# Keeps coefficients that few networks speak of small; relative to one network's squared relative error.
_RIDGE = 1e-3
_LEAST_MS = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyPredictor:
    """An additive latency model; ``coefficients`` (21,), at least 0, in ms a unit of each feature. Make one by ``fit``."""

    coefficients: NDArray[np.float64]

    @classmethod
    def fit(cls, graphs: Sequence[Graph], latencies_ms: Sequence[float]) -> "LatencyPredictor":
        """Fit to measured latencies (n,), all positive; with none measured every prediction is 1 ms."""
        return cls(coefficients=_solve(_rows(graphs), np.asarray(latencies_ms, dtype=np.float64)))

    def predict(self, graph: Graph) -> float:
        """The latency in ms, positive."""
        return max(float(features(graph) @ self.coefficients), _LEAST_MS)


def leave_one_out(graphs: Sequence[Graph], latencies_ms: Sequence[float]) -> list[float]:
    """Each network's latency in ms (n,) as predicted from all the others."""
    rows, latencies = _rows(graphs), np.asarray(latencies_ms, dtype=np.float64)
    others = [np.arange(len(rows)) != place for place in range(len(rows))]
    predicted = [float(row @ _solve(rows[kept], latencies[kept])) for row, kept in zip(rows, others, strict=True)]
    return [max(value, _LEAST_MS) for value in predicted]


@lru_cache(maxsize=8192)  # a front is predicted in every generation
def features(graph: Graph) -> NDArray[np.float64]:
    """What the latency is additive in, (21,): the constant 1, three numbers of each kind of computation, then 2., 3. and 4."""
    table = dict.fromkeys(_KINDS, (0.0, 0.0, 0.0))
    broadcasts = unblocked = unblocked_depthwise = unblocked_macs = macs = 0.0
    for layer in layer_costs(graph):
        op, channels = graph[layer.stored.producer].op, layer.stored.shape[0]
        kind = op.cost_kind
        vectors = -(-channels // VECTOR) if len(layer.stored.shape) == 3 else channels / VECTOR
        padded = layer.macs * vectors * VECTOR / channels
        calls, sum_macs, moved = table[kind]
        table[kind] = (calls + 1, sum_macs + padded, moved + _moved(layer))
        macs += layer.macs
        broadcasts += padded / min(vectors, VECTORS_A_LOAD) if kind == "dense" else 0.0
        if channels % BLOCKED_MULTIPLE and kind == "dense":
            unblocked += 1
        elif channels % BLOCKED_MULTIPLE and kind == "depthwise":
            unblocked_depthwise += 1
            unblocked_macs += layer.macs
    sums = [value for kind in _KINDS for value in table[kind]]
    row = np.array([1.0, *sums, broadcasts, unblocked, unblocked_depthwise, unblocked_macs, macs])
    row.setflags(write=False)
    return row


def _moved(layer: LayerCost) -> int:
    return layer.input_elements + layer.weight_elements + layer.output_elements


def _rows(graphs: Sequence[Graph]) -> NDArray[np.float64]:
    rows: NDArray[np.float64] = np.array([features(graph) for graph in graphs]).reshape(-1, _FEATURES)
    return rows


def _solve(rows: NDArray[np.float64], latencies_ms: NDArray[np.float64]) -> NDArray[np.float64]:
    """Coefficients (21,) for rows (n, 21) and latencies (n,)."""
    if not len(rows):
        return np.eye(1, _FEATURES).ravel()
    from scipy.optimize import nnls  # takes most of a second, which a process that fits nothing has not to spend

    scale = np.maximum(rows.max(axis=0), 1.0)
    relative = rows / scale / latencies_ms[:, np.newaxis]
    ridge = np.sqrt(_RIDGE) * np.eye(_FEATURES) / np.median(latencies_ms)
    wanted = np.concatenate([np.ones(len(rows)), np.zeros(_FEATURES)])
    coefficients: NDArray[np.float64] = nnls(np.vstack([relative, ridge]), wanted)[0] / scale
    return coefficients
