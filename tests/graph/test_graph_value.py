import pytest

from hwnas.errors import GraphError
from hwnas.graph import Add, Clip, Concat, Conv, Flatten, GlobalAvgPool, Graph, Input, Linear, MaxPool, Node
from tests.graphs import SAMPLES

IMAGE = Node(1, Input(channels=2, height=4, width=4))
FLAT = Node(2, Flatten(), (1,))
LOGITS = Node(3, Linear(out_features=5), (2,))


@pytest.mark.parametrize(
    ("nodes", "output", "words"),
    [
        ((IMAGE, FLAT, Node(2, Linear(out_features=5), (2,))), 2, "unique"),
        ((IMAGE, FLAT, LOGITS, Node(4, Input(channels=1, height=1, width=1))), 3, "one input node"),
        ((IMAGE, FLAT, LOGITS), 9, "output node 9 does not exist"),
        ((IMAGE, FLAT, LOGITS), 2, r"read by \(3,\)"),
        ((IMAGE, Node(2, Clip(), (1,))), 2, "vector of logits"),
        ((IMAGE, FLAT, LOGITS, Node(4, Clip(), (1,))), 3, r"\[4\] lead nowhere"),
        ((IMAGE, LOGITS, FLAT), 3, "not topological"),
        ((IMAGE, FLAT, Node(3, Linear(out_features=5), (7,))), 3, "node 7, which does not exist"),
        ((IMAGE, FLAT, Node(3, Linear(out_features=5), (2, 2))), 3, "takes 1 to 1 inputs, got 2"),
        ((IMAGE, Node(2, Linear(out_features=5), (1,))), 2, "put a flatten before it"),
        ((IMAGE, Node(2, MaxPool(), (1,)), Node(3, Add(), (1, 2))), 3, "inputs of one shape"),
        ((IMAGE, Node(2, MaxPool(), (1,)), Node(3, Concat(), (1, 2))), 3, "one height and width"),
        ((IMAGE, Node(2, Conv(out_channels=4, kernel=7, padding=0), (1,))), 2, "does not fit into 4 pixels"),
        ((IMAGE, Node(2, Conv(out_channels=3, kernel=1, padding=0, groups=3), (1,))), 2, "do not divide into 3 groups"),
        ((IMAGE, FLAT, Node(3, GlobalAvgPool(), (2,))), 3, "needs a feature map"),
    ],
)
def test_an_unsound_graph_is_refused_with_the_reason(nodes: tuple[Node, ...], output: int, words: str) -> None:
    with pytest.raises(GraphError, match=words):
        Graph(nodes, output)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Conv(out_channels=0, kernel=3, padding=1), "out_channels must be at least 1"),
        (lambda: Conv(out_channels=3, kernel=3, padding=-1), "must not be negative"),
        (lambda: Conv(out_channels=3, kernel=3, padding=1, groups=2), "do not divide"),
        (lambda: Clip(low=1.0, high=1.0), "low < high"),
        (lambda: MaxPool(kernel=2, padding=2), r"padding must lie in \[0, 1\]"),
        (lambda: Linear(out_features=0), "out_features must be at least 1"),
    ],
)
def test_an_impossible_operation_is_refused(make: type, words: str) -> None:
    with pytest.raises(GraphError, match=words):
        make()


def test_ancestors_are_all_that_a_node_depends_on() -> None:
    graph = SAMPLES["dense"]()
    assert graph.ancestors(9) == {1, 2, 3, 4, 5, 6, 7, 8}
    assert graph.ancestors(8) == {1, 2, 3, 4}
    assert graph.ancestors(1) == set()
    with pytest.raises(GraphError, match="no node 99"):
        graph.ancestors(99)
