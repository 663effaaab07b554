"""The plan of a network that inherits nothing."""

from hwnas.graph import Graph
from hwnas.morphism.inheritance import Constant, Fresh, Inheritance, Record


def from_scratch(graph: Graph) -> Inheritance:
    """Every tensor as its operation says that a new one begins (``Op.initial``)."""
    records: list[Record] = []
    for name in graph.tensors():
        owner, _, tensor = name.partition(".")
        initial = graph[int(owner)].op.initial(tensor)
        records.append(Fresh(tensor=name) if initial == "fresh" else Constant(tensor=name, value=float(initial == "ones")))
    return Inheritance(exact=False, records=tuple(records))
