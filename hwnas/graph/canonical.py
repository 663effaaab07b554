"""The architecture id: a hash that isomorphic graphs share, by colour refinement [WeisfeilerLehman1968].

On the directed graph (our form of it): a node begins with its operation's canonical spelling (`hwnas.graph.spelling`); its
colour is hashed with those of its inputs (in order where the operation is ordered, as a multiset where it is an Add) and with
the multiset of its users' (colour, position read). A branch that is used twice and two equal branches differ, since the node
before them has another number of users. As with every such refinement, some graphs that are not isomorphic share an id.
"""

from collections.abc import Mapping
from functools import lru_cache
from hashlib import blake2b

from hwnas.graph.graph import Graph, Node
from hwnas.graph.spelling import spelling


def architecture_id(graph: Graph) -> str:
    """16 hexadecimal digits that depend on the architecture alone, not on node ids or on the order of nodes."""
    return _architecture_id(graph)


@lru_cache(maxsize=4096)
def _architecture_id(graph: Graph) -> str:
    return _hash("|".join(sorted(colours(graph).values())))


def canonical_order(graph: Graph) -> tuple[Node, ...]:
    """The nodes in a topological order that isomorphic graphs share, up to nodes that are alike in every way."""
    colour = colours(graph)
    waiting = {node.id: len(set(node.inputs)) for node in graph.nodes}
    ready = [graph.input.id]
    order: list[Node] = []
    while ready:
        ready.sort(key=lambda node_id: colour[node_id], reverse=True)
        node = graph[ready.pop()]
        order.append(node)
        for user in set(graph.users[node.id]):
            waiting[user] -= 1
            if not waiting[user]:
                ready.append(user)
    return tuple(order)


@lru_cache(maxsize=4096)
def colours(graph: Graph) -> Mapping[int, str]:
    """A colour for each node; refined until the number of colours no longer grows."""
    colour: dict[int, str] = {}
    for node in graph.nodes:
        colour[node.id] = _hash(f"{spelling(node.op)}<{_inputs(node, colour)}")
    distinct = 0
    while len(set(colour.values())) > distinct:
        distinct = len(set(colour.values()))
        colour = {node.id: _hash(f"{colour[node.id]}<{_inputs(node, colour)}>{_users(node, graph, colour)}") for node in graph}
    return colour


def _inputs(node: Node, colour: Mapping[int, str]) -> str:
    read = [colour[source] for source in node.inputs]
    return ",".join(read if node.op.ordered else sorted(read))


def _users(node: Node, graph: Graph, colour: Mapping[int, str]) -> str:
    reads: list[str] = []
    for user_id in set(graph.users[node.id]):
        user = graph[user_id]
        for position, source in enumerate(user.inputs):
            if source == node.id:
                reads.append(f"{colour[user_id]}@{position if user.op.ordered else '*'}")
    return ",".join(sorted(reads))


def _hash(text: str) -> str:
    return blake2b(text.encode(), digest_size=8).hexdigest()
