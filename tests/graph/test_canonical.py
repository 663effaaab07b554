from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from hwnas.graph import Add, Clip, Concat, Conv, Graph, MaxPool, Node, WeightedAdd, architecture_id, canonical_order, cost
from tests.chains import grown_graphs
from tests.graphs import SAMPLES, Builder


def shuffled(graph: Graph, data: st.DataObject) -> Graph:
    """The same network: other ids, another topological order, the inputs of adds permuted."""
    ids = data.draw(st.permutations(range(1, 3 * len(graph), 2)), label="ids")
    name = {node.id: new for node, new in zip(graph, ids, strict=False)}
    placed: list[Node] = []
    waiting = list(graph.nodes)
    while waiting:
        done = {node.id for node in placed}
        ready = [node for node in waiting if done.issuperset(name[source] for source in node.inputs)]
        node = data.draw(st.sampled_from(ready), label="next")
        waiting.remove(node)
        inputs = [name[source] for source in node.inputs]
        if isinstance(node.op, Add):
            inputs = data.draw(st.permutations(inputs), label="summands")
        placed.append(Node(name[node.id], node.op, tuple(inputs)))
    return Graph(tuple(placed), name[graph.output])


@settings(deadline=None, derandomize=True, max_examples=60)
@given(graph=grown_graphs(), data=st.data())
def test_isomorphic_graphs_share_identity_order_and_cost(graph: Graph, data: st.DataObject) -> None:
    other = shuffled(graph, data)
    assert architecture_id(other) == architecture_id(graph)
    assert [node.op for node in canonical_order(other)] == [node.op for node in canonical_order(graph)]
    assert cost(other) == cost(graph)


@settings(deadline=None, derandomize=True, max_examples=60)
@given(graph=grown_graphs())
def test_canonical_order_is_a_topological_order(graph: Graph) -> None:
    ordered = Graph(canonical_order(graph), graph.output)  # making it checks that it is topological
    assert set(ordered.nodes) == set(graph.nodes)


def two_branches(*, twice: bool, join: type[Add] | type[Concat] | type[WeightedAdd] = Concat) -> Graph:
    b = Builder()
    stem = b.conv(8)
    one = b.conv(4, stem)
    b.add(join(), one, one if twice else b.conv(4, stem))
    return b.head()


def ordered(first: int, second: int, join: type[Concat] | type[WeightedAdd]) -> Graph:
    """A join of two branches that differ in their kernels alone."""
    b = Builder()
    stem = b.conv(8)
    b.add(join(), b.conv(4, stem, kernel=first), b.conv(4, stem, kernel=second))
    return b.head()


def test_different_networks_differ() -> None:
    graphs = [make() for make in SAMPLES.values()]
    for join in (Concat, Add, WeightedAdd):
        graphs += [two_branches(twice=True, join=join), two_branches(twice=False, join=join)]
    graphs += [ordered(3, 1, join) for join in (Concat, WeightedAdd)] + [ordered(1, 3, join) for join in (Concat, WeightedAdd)]
    assert len({architecture_id(graph) for graph in graphs}) == len(graphs)


def test_the_order_of_an_add_does_not_matter() -> None:
    b = Builder()
    stem = b.conv(8)
    b.add(Add(), b.conv(4, stem, kernel=3), b.conv(4, stem, kernel=1))
    one = b.head()
    c = Builder()
    stem = c.conv(8)
    left, right = c.conv(4, stem, kernel=1), c.conv(4, stem, kernel=3)
    c.add(Add(), left, right)
    assert architecture_id(one) == architecture_id(c.head())


def test_every_parameter_of_every_operation_counts() -> None:
    graph = SAMPLES["plain"]()
    changes: dict[int, list[dict[str, Any]]] = {
        2: [{"kernel": 5, "padding": 2}, {"out_channels": 9}, {"bias": True}, {"stride": 2}],
        4: [{"high": 6.0}, {"low": -1.0}],
        5: [{"kernel": 3}, {"stride": 1}],
    }
    found = {architecture_id(graph)}
    for node_id, variants in changes.items():
        for variant in variants:
            nodes = tuple(Node(n.id, replace(n.op, **variant) if n.id == node_id else n.op, n.inputs) for n in graph)
            found.add(architecture_id(Graph(nodes, graph.output)))
    assert len(found) == 1 + 8
    assert {type(graph[node_id].op) for node_id in changes} == {Conv, Clip, MaxPool}
