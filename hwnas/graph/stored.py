"""Stored tensors: what a deployed network writes to memory (our definition).

A *stored tensor* is the input, each convolution or linear layer after the batch norm and activation that fuse into it, and what
each other operation computes (with an activation that fuses into it), the logits among them; a flatten is a view of one. Cost,
peak memory, sensitivity, faults and quantisation all speak of these and of nothing finer.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

from hwnas.graph.graph import Graph, Node
from hwnas.graph.ops import Shape


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredTensor:
    """One tensor in memory.

    ``producer`` computes it, ``node`` is the last node fused into that computation (the two are often the same), ``nodes`` are
    all of them in order, ``reads`` the stored tensors it is computed from (named by their ``node``, in order).
    """

    node: int
    producer: int
    nodes: tuple[int, ...]
    reads: tuple[int, ...]
    shape: Shape

    @property
    def elements(self) -> int:
        """C * H * W."""
        return math.prod(self.shape)


@lru_cache(maxsize=4096)
def stored_tensors(graph: Graph) -> tuple[StoredTensor, ...]:
    """Every stored tensor in topological order, the input first and the logits last among their ancestors."""
    home: dict[int, int] = {}  # node -> the stored tensor that holds its value, named by its last node
    found: list[StoredTensor] = []
    for node in graph.nodes:
        if node.id in home:
            continue
        if node.op.is_view:
            home[node.id] = home[node.inputs[0]]
            continue
        nodes = _fused(graph, node)
        for member in nodes:
            home[member] = nodes[-1]
        reads = tuple(home[source] for source in node.inputs)
        shape = graph.shapes[nodes[-1]]
        found.append(StoredTensor(node=nodes[-1], producer=node.id, nodes=nodes, reads=reads, shape=shape))
    return tuple(found)


def _fused(graph: Graph, node: Node) -> tuple[int, ...]:
    """The node, the norm after it where it absorbs one, and the activation after that: each its only reader's."""
    nodes = [node.id]
    for part, allowed in (("norm", node.op.absorbs_norm), ("activation", bool(node.inputs))):
        users = graph.users[nodes[-1]]
        if allowed and len(users) == 1 and graph[users[0]].op.fuses == part:
            nodes.append(users[0])
    return tuple(nodes)


def logits_tensor(graph: Graph) -> int:
    """The node of the stored tensor that holds the logits: the output, or what it is a view of."""
    node = graph[graph.output]
    while node.op.is_view:
        node = graph[node.inputs[0]]
    return node.id
