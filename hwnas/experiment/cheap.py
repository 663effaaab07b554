"""Every value of a network that is known without training it."""

from collections.abc import Callable, Mapping
from functools import lru_cache
from types import MappingProxyType

from hwnas.graph import Graph, cost
from hwnas.resilience.topology import adcr, sensitivity, sensitivity_max, sensitivity_mean


@lru_cache(maxsize=8192)  # a front is looked at in every generation
def topology_values(graph: Graph) -> Mapping[str, float]:
    """The cheap objectives that the graph alone decides: size, work, memory and the sensitivity indices."""
    costs = cost(graph)
    values = {
        "parameters": float(costs.parameters),
        "macs": float(costs.macs),
        "memory_kb": costs.memory_kb,
        "sensitivity": sensitivity(graph),
        "sensitivity_mean": sensitivity_mean(graph),
        "sensitivity_max": sensitivity_max(graph),
        "adcr": adcr(graph),
    }
    return MappingProxyType(values)


def cheap_values(graph: Graph, predicted_ms: Callable[[Graph], float] | None) -> dict[str, float]:
    """``topology_values``, and the predicted latency in ms where there is a device."""
    values = dict(topology_values(graph))
    if predicted_ms is not None:
        values["latency_ms"] = predicted_ms(graph)
    return values
