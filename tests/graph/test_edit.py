import pytest

from hwnas.errors import GraphError
from hwnas.graph import Add, BatchNorm, Clip, Conv, Edit, MaxPool
from tests.graphs import SAMPLES


def test_an_edit_leaves_its_graph_alone() -> None:
    graph = SAMPLES["residual"]()
    nodes = graph.nodes
    edit = Edit(graph)
    new = edit.insert(MaxPool(kernel=3, stride=1, padding=1), 4)
    edit.redirect(4, new, but=(new,))
    child = edit.done()
    assert graph.nodes is nodes
    assert new == max(node.id for node in nodes) + 1
    assert child.users[4] == (new,)
    assert set(child.users[new]) == {5, 10}


def test_erase_refuses_while_a_node_is_read_and_names_the_readers() -> None:
    edit = Edit(SAMPLES["residual"]())
    with pytest.raises(GraphError, match=r"node 4 cannot be erased: it is read by \[5, 10\]"):
        edit.erase(4)
    with pytest.raises(GraphError, match="read by the output"):
        edit.erase(23)


def test_erase_takes_out_what_nobody_reads() -> None:
    edit = Edit(SAMPLES["residual"]())
    edit.redirect(21, 20)
    edit.erase(21)
    assert 21 not in edit.done()


def test_erase_unused_takes_out_dead_branches_and_keeps_the_input() -> None:
    graph = SAMPLES["residual"]()
    edit = Edit(graph)
    edit.redirect(10, 4)
    with pytest.raises(GraphError, match="lead nowhere"):
        edit.done()
    edit.erase_unused()
    assert {node.id for node in graph} - {node.id for node in edit.done()} == {5, 6, 7, 8, 9, 10}


def test_a_cycle_is_found() -> None:
    edit = Edit(SAMPLES["plain"]())
    edit.rewire(2, 6)
    with pytest.raises(GraphError, match="depends on itself"):
        edit.done()


def test_nodes_come_out_in_topological_order_wherever_they_were_inserted() -> None:
    edit = Edit(SAMPLES["plain"]())
    late = edit.insert(BatchNorm(), edit.insert(Conv(out_channels=8, kernel=3, padding=1), 4))
    edit.rewire(5, edit.insert(Clip(), edit.insert(Add(), 4, late)))
    ids = [node.id for node in edit.done()]
    assert ids.index(late) < ids.index(5)
    assert ids[:4] == [1, 2, 3, 4]


def test_the_output_follows_a_redirection() -> None:
    graph = SAMPLES["flat"]()
    edit = Edit(graph)
    last = edit.insert(Clip(), graph.output)
    edit.redirect(graph.output, last, but=(last,))
    assert edit.done().output == last


def test_a_node_that_does_not_exist_is_named() -> None:
    edit = Edit(SAMPLES["plain"]())
    for act in (
        lambda: edit.insert(Clip(), 99),
        lambda: edit.rewire(2, 99),
        lambda: edit.redirect(2, 99),
        lambda: edit.replace(99, Clip()),
        lambda: edit.erase(99),
    ):
        with pytest.raises(GraphError, match="no node 99"):
            act()
