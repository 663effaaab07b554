"""The one way to change a graph: an editing session that ends in a checked graph."""

from hwnas.errors import GraphError
from hwnas.graph.graph import Graph, Node
from hwnas.graph.ops import Op


class Edit:
    """An editing session on a copy of ``graph``; the graph itself never changes.

    New nodes get ids above every id of the graph, so that no id of the parent is taken by another node of the child.
    """

    def __init__(self, graph: Graph) -> None:
        self._nodes = {node.id: node for node in graph.nodes}
        self._output = graph.output
        self._next = max(self._nodes) + 1

    def insert(self, op: Op, *inputs: int) -> int:
        """Add a node and return its id."""
        for source in inputs:
            self._get(source)
        node_id = self._next
        self._next += 1
        self._nodes[node_id] = Node(node_id, op, inputs)
        return node_id

    def rewire(self, node_id: int, *inputs: int) -> None:
        """Give a node other inputs."""
        for source in inputs:
            self._get(source)
        self._nodes[node_id] = Node(node_id, self._get(node_id).op, inputs)

    def redirect(self, old: int, new: int, *, but: tuple[int, ...] = ()) -> None:
        """Let every reader of ``old``, those in ``but`` excepted, read ``new`` instead."""
        self._get(new)
        for user in self._users(old):
            if user not in but:
                self.rewire(user, *(new if source == old else source for source in self._nodes[user].inputs))
        if self._output == old:
            self._output = new

    def replace(self, node_id: int, op: Op) -> None:
        """Let a node compute something else with the same inputs."""
        self._nodes[node_id] = Node(node_id, op, self._get(node_id).inputs)

    def erase(self, node_id: int) -> None:
        """Remove a node. Raises GraphError while others read it, naming them."""
        self._get(node_id)
        users = self._users(node_id)
        if users or node_id == self._output:
            raise GraphError(f"node {node_id} cannot be erased: it is read by {users or 'the output'}; rewire those first")
        del self._nodes[node_id]

    def erase_unused(self) -> None:
        """Remove every node that no path leads from to the output (the input stays: a graph needs it)."""
        alive, stack = set[int](), [self._output]
        while stack:
            current = stack.pop()
            if current not in alive:
                alive.add(current)
                stack.extend(self._nodes[current].inputs)
        self._nodes = {i: node for i, node in self._nodes.items() if i in alive or not node.inputs}

    def done(self) -> Graph:
        """The edited graph in topological order, checked. Raises GraphError where it is not sound."""
        return Graph(tuple(self._sorted()), self._output)

    def _get(self, node_id: int) -> Node:
        if node_id not in self._nodes:
            raise GraphError(f"the graph has no node {node_id}; it has {sorted(self._nodes)}")
        return self._nodes[node_id]

    def _users(self, node_id: int) -> list[int]:
        return [node.id for node in self._nodes.values() if node_id in node.inputs]

    def _sorted(self) -> list[Node]:
        """Depth first from the oldest node on: parents' order is kept where it can be."""
        order: list[Node] = []
        state: dict[int, bool] = {}  # False while a node's inputs are being placed, True once it stands in the order
        stack = [(node_id, False) for node_id in reversed(self._nodes)]
        while stack:
            node_id, leaving = stack.pop()
            if leaving:
                state[node_id] = True
                order.append(self._nodes[node_id])
            elif node_id not in state:
                state[node_id] = False
                stack.append((node_id, True))
                pending = [i for i in reversed(self._nodes[node_id].inputs) if not state.get(i)]
                if any(state.get(i) is False for i in pending):
                    raise GraphError(f"node {node_id} depends on itself through {pending}")
                stack.extend((i, False) for i in pending)
        return order
