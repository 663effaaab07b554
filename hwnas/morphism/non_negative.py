"""Which tensors are provably non-negative: behind which a ReLU changes nothing."""

from hwnas.graph import Add, AvgPool, Clip, Concat, Flatten, GlobalAvgPool, Graph, MaxPool

_PASSES = (MaxPool, AvgPool, GlobalAvgPool, Flatten, Add, Concat)


def non_negative(graph: Graph) -> set[int]:
    """Ids of the nodes whose output can never be below zero, whatever the weights.

    After a clip whose lower bound is at least 0, or a pool, flatten, concat or add of such. Never after a weighted add: its
    mix is learnt and may leave [0, 1].
    """
    found: set[int] = set()
    for node in graph.nodes:
        if (isinstance(node.op, Clip) and node.op.low >= 0) or (isinstance(node.op, _PASSES) and found.issuperset(node.inputs)):
            found.add(node.id)
    return found
