"""What a network costs: parameters, multiply-accumulates, memory traffic and peak memory, from the graph alone."""

import math
from dataclasses import dataclass
from functools import lru_cache

from hwnas.graph.canonical import canonical_order
from hwnas.graph.graph import Graph
from hwnas.graph.stored import StoredTensor, stored_tensors

BYTES_PER_VALUE = 4  # float32


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerCost:
    """One stored tensor's computation: elements read from other stored tensors, weights read, elements written, MACs.

    ``weight_elements`` counts the deployed weights: batch norm folded into a bias.
    """

    stored: StoredTensor
    kind: str
    macs: int
    input_elements: int
    weight_elements: int
    output_elements: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """A network's cost for one image in float32.

    ``parameters`` as torch counts them, ``macs`` of convolutions and linear layers as fvcore counts them, ``bytes_read`` and
    ``bytes_written`` with every stored tensor and weight passing through memory once a use, ``peak_bytes`` the most that live
    activations take when stored tensors are computed in canonical order, ``weight_bytes`` what the deployed weights take.
    """

    parameters: int
    macs: int
    bytes_read: int
    bytes_written: int
    peak_bytes: int
    weight_bytes: int

    @property
    def memory_kb(self) -> float:
        """Peak activations plus weights, in units of 1,000 bytes: what a device must hold."""
        return (self.peak_bytes + self.weight_bytes) / 1000


@lru_cache(maxsize=4096)
def cost(graph: Graph) -> Cost:
    """The cost of a graph."""
    layers = layer_costs(graph)
    weights = sum(layer.weight_elements for layer in layers)
    return Cost(
        parameters=sum(math.prod(shape) for shape in graph.parameters().values()),
        macs=sum(layer.macs for layer in layers),
        bytes_read=BYTES_PER_VALUE * (weights + sum(layer.input_elements for layer in layers)),
        bytes_written=BYTES_PER_VALUE * sum(layer.output_elements for layer in layers),
        peak_bytes=BYTES_PER_VALUE * _peak_elements(graph),
        weight_bytes=BYTES_PER_VALUE * weights,
    )


@lru_cache(maxsize=4096)
def layer_costs(graph: Graph) -> tuple[LayerCost, ...]:
    """The cost of each stored tensor's computation, in topological order, the input left out."""
    stored = stored_tensors(graph)
    elements = {tensor.node: tensor.elements for tensor in stored}
    layers = []
    for tensor in stored[1:]:
        node = graph[tensor.producer]
        layers.append(
            LayerCost(
                stored=tensor,
                kind=node.op.kind,
                macs=node.op.macs(graph.input_shapes(node), graph.shapes[node.id]),
                input_elements=sum(elements[source] for source in tensor.reads),
                weight_elements=_deployed_weights(graph, tensor),
                output_elements=tensor.elements,
            )
        )
    return tuple(layers)


def _deployed_weights(graph: Graph, tensor: StoredTensor) -> int:
    """Weights after folding: a batch norm behind a convolution leaves one bias a filter, one that stands alone two."""
    producer = graph[tensor.producer]
    own = sum(math.prod(shape) for shape in producer.op.parameters(graph.input_shapes(producer)).values())
    folded_bias = len(tensor.nodes) > 1 and graph[tensor.nodes[1]].op.fuses == "norm"
    if folded_bias and "bias" not in producer.op.parameters(graph.input_shapes(producer)):
        own += tensor.shape[0]
    return own


def _peak_elements(graph: Graph) -> int:
    position = {node.id: place for place, node in enumerate(canonical_order(graph))}
    stored = sorted(stored_tensors(graph), key=lambda tensor: position[tensor.node])
    last_read = {source: step for step, tensor in enumerate(stored) for source in tensor.reads}
    live: dict[int, int] = {}
    peak = 0
    for step, tensor in enumerate(stored):
        live[tensor.node] = tensor.elements
        peak = max(peak, sum(live.values()))
        live = {node: size for node, size in live.items() if last_read.get(node, -1) > step}
    return peak
