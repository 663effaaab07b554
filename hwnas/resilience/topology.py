"""What the topology alone says about bit flips: sensitivity indices and the data-computation ratio (our definitions).

Schorn et al. (arXiv 1909.13844) name an *architecture sensitivity index* and an *accumulated data-computation ratio*; their
formulas are not available to us. These are ours, over stored tensors v (``hwnas.graph.stored_tensors``; the input and the
logits left out) with N_v elements and relevance share r_v:

- ASI      = sum_v r_v^2 / N_v        zero-mean flips at a fixed bit error rate add in variance
- ASI_mean = sum_v r_v / sum_v N_v    the expected hit of one uniformly placed flip
- ASI_max  = max_v r_v / N_v
- T        = sum_v N_v x (number of v) / parameters    how much lies open to flips, and how often they add up on the way
- ADCR     = sum over layers with MACs of (elements read + weights + elements written) / MACs
"""

from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType

from hwnas.graph import Graph, cost, layer_costs, logits_tensor, stored_tensors


@lru_cache(maxsize=4096)
def relevance_shares(graph: Graph) -> Mapping[int, float]:
    """The share r_v > 0 of the output's relevance that passes each stored tensor, by its node; input and logits included.

    1 at the output, walked back: each operation says how its share is split among its inputs (``Op.relevance``): a concat by
    element count, sums and products equally, never by what is trained; shares add up over a tensor's readers.
    """
    stored = stored_tensors(graph)
    elements = {tensor.node: tensor.elements for tensor in stored}
    shares = dict.fromkeys(elements, 0.0)
    shares[logits_tensor(graph)] = 1.0
    for tensor in reversed(stored):
        parts = graph[tensor.producer].op.relevance([elements[source] for source in tensor.reads])
        for source, part in zip(tensor.reads, parts, strict=True):
            shares[source] += part * shares[tensor.node]
    return MappingProxyType(shares)


def sensitivity(graph: Graph) -> float:
    """ASI: sum of r_v^2 / N_v; at least 0, smaller is more resilient."""
    return sum(share * share / elements for share, elements in hidden_tensors(graph))


def sensitivity_mean(graph: Graph) -> float:
    """ASI_mean: sum of r_v over sum of N_v; 0 where nothing lies between image and logits."""
    hidden = hidden_tensors(graph)
    return sum(share for share, _ in hidden) / max(1, sum(elements for _, elements in hidden))


def sensitivity_max(graph: Graph) -> float:
    """ASI_max: the largest r_v / N_v; 0 where nothing lies between image and logits."""
    return max((share / elements for share, elements in hidden_tensors(graph)), default=0.0)


def exposure(graph: Graph) -> float:
    """T: elements in stored feature maps times their number, over the parameters; at least 0, smaller is more resilient.

    Found after the fact: on the four sets of benchmarks/results/resilience_proxy.json its rank correlation with the measured
    classification change rate of int8 activations is 0.77, 0.84, 0.80 and 0.80, where ASI has 0.46, 0.47, -0.28 and -0.37. It
    says nothing of flips in weights.
    """
    hidden = hidden_tensors(graph)
    return sum(elements for _, elements in hidden) * len(hidden) / max(1, cost(graph).parameters)


def adcr(graph: Graph) -> float:
    """ADCR: elements moved per MAC, added up over the layers that have MACs; batch norm folded into the weights."""
    return sum(
        (layer.input_elements + layer.weight_elements + layer.output_elements) / layer.macs
        for layer in layer_costs(graph)
        if layer.macs
    )


def hidden_tensors(graph: Graph) -> list[tuple[float, int]]:
    """(r_v, N_v) of every stored tensor but the input and the logits, in the order in which they are computed."""
    shares, outside = relevance_shares(graph), (graph.input.id, logits_tensor(graph))
    return [(shares[tensor.node], tensor.elements) for tensor in stored_tensors(graph) if tensor.node not in outside]
