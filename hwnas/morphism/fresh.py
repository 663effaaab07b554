"""The plan of a network that inherits nothing."""

from hwnas.graph import BatchNorm, Graph
from hwnas.morphism.inheritance import Constant, Fresh, Inheritance, Record


def from_scratch(graph: Graph) -> Inheritance:
    """Every weight afresh; batch norms and mixes at their neutral values."""
    records: list[Record] = []
    for name in graph.tensors():
        owner, _, tensor = name.partition(".")
        if isinstance(graph[int(owner)].op, BatchNorm):
            records.append(Constant(tensor=name, value=1.0 if tensor in ("weight", "running_var") else 0.0))
        elif tensor == "mix":
            records.append(Constant(tensor=name, value=0.0))
        else:
            records.append(Fresh(tensor=name))
    return Inheritance(exact=False, records=tuple(records))
