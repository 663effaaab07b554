"""The expected change by bit flips before a training: predicted from the graph alone, fitted to a run's own trained networks.

Our definition: ridge regression of the logarithm of ``expected_change`` on logarithms of what the graph says (`features`: among
them T, see ``hwnas.resilience.topology``), standardised. It needs no weights, which is what it is for: `expected_change` itself
is known only after a training.

On five stored runs, each generation predicted from those before it, Spearman's rank correlation with the computed value was 0.67
(CIFAR-10, 96 networks) and 0.84, 0.72, 0.61 and 0.83 (digits, 101, 94, 56 and 31 networks); T alone has 0.41, 0.74, 0.55, 0.60
and 0.68 there. On two later searches of digits it was 0.85 and 0.27 (102 and 80 networks, benchmarks/steering.py).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from hwnas.graph import Clip, Graph, cost, layer_costs
from hwnas.graph.ops.op import CostKind

_COUNTED: tuple[CostKind, ...] = ("dense", "depthwise", "pool", "join")  # kinds of computations that are counted
_RIDGE = 3.0  # against one for each network that is fitted to: few networks say little of each feature


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangePredictor:
    """A fitted regression; ``centre`` and ``spread`` (features,) standardise, ``slopes`` (features,). Make one by ``fit``."""

    centre: NDArray[np.float64]
    spread: NDArray[np.float64]
    slopes: NDArray[np.float64]
    level: float

    @classmethod
    def fit(cls, graphs: Sequence[Graph], values: Sequence[float]) -> "ChangePredictor":
        """Fit to the expected changes (n,) of at least one trained network, all positive."""
        rows, logs = np.array([features(graph) for graph in graphs]), np.log(np.asarray(values, dtype=np.float64))
        spread = rows.std(axis=0)
        spread[spread < 1e-9] = 1.0
        centre, level = rows.mean(axis=0), float(logs.mean())
        standard = (rows - centre) / spread
        slopes = np.linalg.solve(standard.T @ standard + _RIDGE * np.eye(rows.shape[1]), standard.T @ (logs - level))
        return cls(centre=centre, spread=spread, slopes=slopes, level=level)

    def predict(self, graph: Graph) -> float:
        """The expected change, positive."""
        return math.exp(float((features(graph) - self.centre) / self.spread @ self.slopes) + self.level)


@lru_cache(maxsize=8192)  # a front is predicted in every generation
def features(graph: Graph) -> NDArray[np.float64]:
    """What the prediction is linear in: logarithms of sizes and indices, and the share of activations with an upper bound."""
    from hwnas.resilience.topology import adcr, exposure, hidden_tensors, sensitivity  # the package loads scipy

    sizes = [elements for _, elements in hidden_tensors(graph)] or [1]
    kinds = [graph[layer.stored.producer].op.cost_kind for layer in layer_costs(graph)]
    costs = cost(graph)
    positive = [exposure(graph), costs.parameters, costs.macs, sum(sizes), len(sizes), max(sizes), sizes[0], sizes[-1]]
    positive += [sensitivity(graph), adcr(graph), *(1 + kinds.count(kind) for kind in _COUNTED)]
    activations = [node.op for node in graph if node.op.fuses == "activation"]
    bounded = sum(isinstance(op, Clip) and math.isfinite(op.high) for op in activations) / max(1, len(activations))
    row = np.array([*(math.log(max(value, 1e-9)) for value in positive), bounded])
    row.setflags(write=False)
    return row
