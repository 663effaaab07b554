"""Which tensors of a child its operators touched: those that a first phase of its training trains alone.

Our definition, for two-phase training after an approximate morphism: touched are (1) the tensors that a plan of inheritance
writes, and (2) those of the next layers behind a node that is new or reads something else, however many views, sums and
activations lie between: a layer whose predecessor was removed is inherited as it was, and has to learn what it reads now.
"""

from collections.abc import Sequence

from hwnas.graph import Graph
from hwnas.morphism.inheritance import Inheritance, written


def touched(parent: Graph, steps: Sequence[tuple[Graph, Inheritance]]) -> frozenset[str]:
    """The touched parameters of the last graph of ``steps``, each the graph that an operator led to and its plan."""
    names: set[str] = set()
    before = parent
    for graph, plan in steps:
        names |= {name for record in plan.records for name in written(record)} | _behind_changes(before, graph)  # 1. and 2.
        before = graph
    return frozenset(names & set(before.parameters()))


def _behind_changes(before: Graph, after: Graph) -> set[str]:
    """The parameters of the nodes that are new or changed, or of the next nodes behind them that have some."""
    known = {node.id: node for node in before}
    owned: dict[int, list[str]] = {}
    for name in after.parameters():
        owned.setdefault(int(name.partition(".")[0]), []).append(name)
    found, passing = set[str](), set[int]()
    for node in after:
        if known.get(node.id) != node or passing & set(node.inputs):
            found.update(owned.get(node.id, ()))
            if node.id not in owned:
                passing.add(node.id)
    return found
