"""Objectives that the graph alone decides: size, work, memory and the sensitivity indices.

``hwnas.resilience`` is imported when an index is computed: it loads scipy, which takes longer than printing a front does.
"""

from collections.abc import Callable
from dataclasses import dataclass

from hwnas.graph import Graph, cost
from hwnas.objective import Objective
from hwnas.objectives.source import GraphObjective


def _index(name: str) -> Callable[[Graph], float]:
    """A function of ``hwnas.resilience.topology``, by its name."""

    def value(graph: Graph) -> float:
        from hwnas.resilience import topology

        index: Callable[[Graph], float] = getattr(topology, name)
        return index(graph)

    return value


@dataclass(frozen=True, slots=True, kw_only=True)
class Topology(GraphObjective):
    """An objective of the graph that ``value`` computes."""

    objective: Objective
    value: Callable[[Graph], float]

    def of_graph(self, graph: Graph) -> float:
        """The value of a network."""
        return float(self.value(graph))


# Resolutions: the indices 0.25, or wide networks that are worse in everything else flood the front (DESIGN.md, idea 7).
PARAMETERS = Topology(
    objective=Objective(name="parameters", cheap=True, log_scale=True, text="count", shown=True),
    value=lambda graph: cost(graph).parameters,
)
MACS = Topology(
    objective=Objective(name="macs", title="MACs", cheap=True, log_scale=True, text="count", shown=True),
    value=lambda graph: cost(graph).macs,
)
MEMORY = Topology(
    objective=Objective(name="memory_kb", title="memory", unit="kB", cheap=True, log_scale=True, text="tenths"),
    value=lambda graph: cost(graph).memory_kb,
)
SENSITIVITY = Topology(
    objective=Objective(name="sensitivity", cheap=True, log_scale=True, resolution=0.25, relative=True, shown=True),
    value=_index("sensitivity"),
)
SENSITIVITY_MEAN = Topology(
    objective=Objective(
        name="sensitivity_mean", title="sensitivity, mean", cheap=True, log_scale=True, resolution=0.25, relative=True
    ),
    value=_index("sensitivity_mean"),
)
SENSITIVITY_MAX = Topology(
    objective=Objective(
        name="sensitivity_max", title="sensitivity, max", cheap=True, log_scale=True, resolution=0.25, relative=True
    ),
    value=_index("sensitivity_max"),
)
EXPOSURE = Topology(
    objective=Objective(name="exposure", title="exposure (T)", cheap=True, log_scale=True, resolution=0.1, relative=True),
    value=_index("exposure"),
)
ADCR = Topology(
    objective=Objective(name="adcr", title="ADCR", cheap=True, log_scale=True, resolution=0.1, relative=True),
    value=_index("adcr"),
)
