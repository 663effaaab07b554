"""Which tensors are provably non-negative: behind which a ReLU changes nothing."""

from hwnas.graph import Graph


def non_negative(graph: Graph) -> set[int]:
    """Ids of the nodes whose output can never be below zero, whatever the weights.

    Each operation says so of itself (``Op.non_negative``): a clip whose lower bound is at least 0, or a pool, concat or add of
    such. Never a weighted add: its mix is learnt and may leave [0, 1].
    """
    found: set[int] = set()
    for node in graph.nodes:
        if node.op.non_negative([source in found for source in node.inputs]):
            found.add(node.id)
    return found
