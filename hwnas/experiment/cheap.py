"""Every value of a network that is known without training it."""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType
from typing import TypeAlias

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


Predict: TypeAlias = Callable[[Graph], float | None]


def cheap_values(graph: Graph, predictions: Mapping[str, Predict], of_graph: GraphValues = topology_values) -> dict[str, float]:
    """The values of the graph, and by their names those that can be predicted."""
    predicted = {name: predict(graph) for name, predict in predictions.items()}
    return {**of_graph(graph), **{name: value for name, value in predicted.items() if value is not None}}
