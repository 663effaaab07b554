"""Every value of a network that is known without training it."""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType

from hwnas.graph import Graph
from hwnas.objectives import SOURCES, GraphObjective, checked

ALWAYS = tuple(source for source in SOURCES.values() if isinstance(source, GraphObjective))


class GraphValues:
    """The objectives that the graph alone decides, each graph's computed once: all of hwnas's, and a run's ``own``."""

    def __init__(self, own: Sequence[GraphObjective] = ()) -> None:
        self._sources = (*ALWAYS, *(source for source in own if source not in ALWAYS))
        self._known = lru_cache(maxsize=8192)(self._computed)  # a front is looked at in every generation

    def __call__(self, graph: Graph) -> Mapping[str, float]:
        """The values by the objectives' names. Raises ObjectiveError where one fails."""
        return self._known(graph)

    def _computed(self, graph: Graph) -> Mapping[str, float]:
        values = {source.objective.name: checked(source.objective, source.of_graph, graph) for source in self._sources}
        return MappingProxyType(values)


topology_values = GraphValues()


def cheap_values(
    graph: Graph, predicted_ms: Callable[[Graph], float | None] | None, of_graph: GraphValues = topology_values
) -> dict[str, float]:
    """The values of the graph, and the latency in ms where one can be predicted."""
    values = dict(of_graph(graph))
    if predicted_ms is not None and (latency_ms := predicted_ms(graph)) is not None:
        values["latency_ms"] = latency_ms
    return values
