"""Every value of a network that is known without training it."""

from collections.abc import Callable

from hwnas.graph import Graph, cost
from hwnas.resilience.topology import adcr, sensitivity, sensitivity_max, sensitivity_mean


def topology_values(graph: Graph) -> dict[str, float]:
    """The cheap objectives that the graph alone decides: size, work, memory and the sensitivity indices."""
    costs = cost(graph)
    return {
        "parameters": float(costs.parameters),
        "macs": float(costs.macs),
        "memory_kb": costs.memory_kb,
        "sensitivity": sensitivity(graph),
        "sensitivity_mean": sensitivity_mean(graph),
        "sensitivity_max": sensitivity_max(graph),
        "adcr": adcr(graph),
    }


def cheap_values(graph: Graph, predicted_ms: Callable[[Graph], float] | None) -> dict[str, float]:
    """``topology_values``, and the predicted latency in ms where there is a device."""
    values = topology_values(graph)
    if predicted_ms is not None:
        values["latency_ms"] = predicted_ms(graph)
    return values
