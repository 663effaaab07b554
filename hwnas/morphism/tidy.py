"""What is left over where a part of a network was removed, taken out as well (our definition).

1. An add or weighted add that reads one tensor twice reads it once; with one input left it goes.
2. A clip that changes nothing goes: a ReLU behind what is never negative, or a clip behind one that is at least as tight.
"""

import math

from hwnas.graph import Add, Clip, Edit, Graph, Node, WeightedAdd
from hwnas.morphism.non_negative import non_negative


def tidy(graph: Graph) -> Graph:
    """The graph without leftovers."""
    for node in graph:
        inputs = tuple(dict.fromkeys(node.inputs))
        edit = Edit(graph)
        if isinstance(node.op, Add) and 1 < len(inputs) < len(node.inputs):  # 1.
            edit.rewire(node.id, *inputs)
            return tidy(edit.done())
        if (isinstance(node.op, Add | WeightedAdd) and len(inputs) == 1) or _idle(graph, node):  # 1. and 2.
            edit.redirect(node.id, inputs[0])
            edit.erase(node.id)
            return tidy(edit.done())
    return graph


def _idle(graph: Graph, node: Node) -> bool:
    if not isinstance(node.op, Clip):
        return False
    if node.op.low <= 0 and node.op.high == math.inf and node.inputs[0] in non_negative(graph):
        return True
    before = graph[node.inputs[0]].op
    return isinstance(before, Clip) and before.low >= node.op.low and before.high <= node.op.high
