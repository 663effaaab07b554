"""The graph: a network's topology as an immutable value."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from hwnas.errors import GraphError
from hwnas.graph.ops import Op, Shape


@dataclass(frozen=True, slots=True)
class Node:
    """One operation in a graph: a stable id (never 0 or negative), what it computes, and the ids it reads, in order."""

    id: int
    op: Op
    inputs: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Graph:
    """A classifier: nodes in topological order, one Input first, the logits at ``output``.

    Making one checks it (see ``check``), so every Graph that exists is sound. ``shapes`` maps each node to its output shape,
    ``users`` to the ids that read it, with multiplicity and in topological order.

    Raises GraphError naming the node and the invariant it breaks.
    """

    nodes: tuple[Node, ...]
    output: int
    shapes: Mapping[int, Shape] = field(init=False, repr=False, compare=False)
    users: Mapping[int, tuple[int, ...]] = field(init=False, repr=False, compare=False)
    _index: Mapping[int, Node] = field(init=False, repr=False, compare=False)
    _hash: int = field(init=False, repr=False, compare=False)  # caches are keyed by graphs: hashing every node each time shows

    def __post_init__(self) -> None:
        index = {node.id: node for node in self.nodes}
        object.__setattr__(self, "_index", MappingProxyType(index))
        object.__setattr__(self, "users", MappingProxyType(_users(self.nodes)))
        object.__setattr__(self, "shapes", MappingProxyType(_infer(self.nodes)))
        check(self)
        object.__setattr__(self, "_hash", hash((self.nodes, self.output)))

    def __reduce__(self) -> tuple[type["Graph"], tuple[tuple[Node, ...], int]]:
        """Copied and pickled as what it is made from; a copy is checked and inferred as any graph is."""
        return Graph, (self.nodes, self.output)

    def __hash__(self) -> int:
        return self._hash

    def __getitem__(self, node_id: int) -> Node:
        try:
            return self._index[node_id]
        except KeyError:
            raise GraphError(f"the graph has no node {node_id}; it has {sorted(self._index)}") from None

    def __contains__(self, node_id: object) -> bool:
        return node_id in self._index

    def __iter__(self) -> Iterator[Node]:
        return iter(self.nodes)

    def __len__(self) -> int:
        return len(self.nodes)

    @property
    def input(self) -> Node:
        """The image node."""
        return self.nodes[0]

    @property
    def classes(self) -> int:
        """How many logits the network gives."""
        return self.shapes[self.output][0]

    def input_shapes(self, node: Node) -> list[Shape]:
        """Shapes of what a node reads, in order."""
        return [self.shapes[i] for i in node.inputs]

    def parameters(self) -> dict[str, Shape]:
        """Every learnable tensor: ``"<node id>.<name>"`` to its shape."""
        return {
            f"{node.id}.{name}": shape
            for node in self.nodes
            for name, shape in node.op.parameters(self.input_shapes(node)).items()
        }

    def tensors(self) -> dict[str, Shape]:
        """Every tensor of the network's state, learnable or kept: ``"<node id>.<name>"`` to its shape."""
        return self.parameters() | {
            f"{node.id}.{name}": shape for node in self.nodes for name, shape in node.op.buffers(self.input_shapes(node)).items()
        }

    def ancestors(self, node_id: int) -> set[int]:
        """Every node that ``node_id`` depends on, itself left out."""
        found: set[int] = set()
        stack = list(self[node_id].inputs)
        while stack:
            current = stack.pop()
            if current not in found:
                found.add(current)
                stack.extend(self[current].inputs)
        return found


def _users(nodes: Sequence[Node]) -> dict[int, tuple[int, ...]]:
    users: dict[int, list[int]] = {node.id: [] for node in nodes}
    for node in nodes:
        for source in node.inputs:
            if source not in users:
                raise GraphError(f"node {node.id} ({node.op.kind}) reads node {source}, which does not exist")
            users[source].append(node.id)
    return {node_id: tuple(readers) for node_id, readers in users.items()}


def _infer(nodes: Sequence[Node]) -> dict[int, Shape]:
    shapes: dict[int, Shape] = {}
    for node in nodes:
        low, high = node.op.arity
        if len(node.inputs) < low or (high is not None and len(node.inputs) > high):
            raise GraphError(f"node {node.id} ({node.op.kind}) takes {low} to {high} inputs, got {len(node.inputs)}")
        missing = [source for source in node.inputs if source not in shapes]
        if missing:
            raise GraphError(f"node {node.id} ({node.op.kind}) reads {missing}, which come after it: not topological")
        try:
            shapes[node.id] = node.op.shape([shapes[source] for source in node.inputs])
        except GraphError as error:
            raise GraphError(f"node {node.id}: {error}") from None
    return shapes


def check(graph: Graph) -> None:
    """Raise GraphError unless the graph is a sound classifier.

    Ids are unique and positive; the first node is the only Input; the output exists and is a vector of logits that nothing
    reads; every node lies on a path to the output. Arity, order and shapes are checked where they are inferred.
    """
    ids = [node.id for node in graph.nodes]
    if len(set(ids)) != len(ids) or min(ids, default=0) < 1:
        raise GraphError(f"node ids must be positive and unique, got {ids}")
    inputs = [node.id for node in graph.nodes if node.op.arity == (0, 0)]
    if inputs != ids[:1]:
        raise GraphError(f"a graph starts with its one input node, got input nodes {inputs} in {ids}")
    if graph.output not in graph:
        raise GraphError(f"the output node {graph.output} does not exist")
    if graph.users[graph.output]:
        raise GraphError(f"the output node {graph.output} is read by {graph.users[graph.output]}; logits end the network")
    if len(graph.shapes[graph.output]) != 1:
        raise GraphError(f"the output must be a vector of logits, got shape {graph.shapes[graph.output]}")
    dead = [node.id for node in graph.nodes if not graph.users[node.id] and node.id != graph.output]
    if dead:
        raise GraphError(f"nodes {dead} lead nowhere; erase them or use them")
