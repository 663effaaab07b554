import json
from typing import Any

import pytest
from hypothesis import given, settings

from hwnas.errors import GraphError
from hwnas.graph import Graph, from_json, to_json
from tests.chains import grown_graphs
from tests.graphs import SAMPLES


@settings(deadline=None, derandomize=True, max_examples=40)
@given(graph=grown_graphs())
def test_round_trip(graph: Graph) -> None:
    text = to_json(graph)
    assert from_json(text) == graph
    assert to_json(from_json(text)) == text
    json.loads(text, parse_constant=pytest.fail)  # no NaN or Infinity, which JSON does not have


def change(**changes: Any) -> str:
    """The flat sample's JSON with its second node, a convolution, changed; None takes a key away."""
    data = json.loads(to_json(SAMPLES["flat"]()))
    data["nodes"][1] = {key: value for key, value in {**data["nodes"][1], **changes}.items() if value is not None}
    return json.dumps(data)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "not JSON"),
        ("[]", r"not a graph.*got \[\]"),
        ('{"version": 2}', "version 1, got 2"),
        ('{"version": 1, "output": 1}', "nodes"),
        ('{"version": 1, "output": 1, "nodes": []}', "positive and unique"),
        ('{"version": 1, "output": 1, "nodes": [3]}', "not a graph"),
        ('{"version": 1, "output": [], "nodes": []}', "output: .*integer"),
        (change(op="eval"), "unknown operation 'eval'"),
        (change(id=None), "id"),
        (change(id="2"), "nodes.1.id: .*integer, got '2'"),
        (change(id=2.0), "nodes.1.id: .*integer, got 2.0"),
        (change(inputs=[1.5]), "nodes.1.inputs.0: .*integer, got 1.5"),
        (change(inputs=1), "not a graph"),
        (change(inputs=[77]), "node 77, which does not exist"),
        (change(kernel=None), "node 2: conv needs the field kernel"),
        (change(kernel=3.5), "kernel=3.5 does not fit; expected int"),
        (change(kernel=True), "kernel=True does not fit"),
        (change(kernel="3"), "kernel='3' does not fit"),
        (change(kernel=0), "at least 1"),
        (change(colour=1), "node 2: conv has no field colour; it has out_channels, kernel"),
    ],
)
def test_what_is_not_a_graph_is_refused(text: str, words: str) -> None:
    with pytest.raises(GraphError, match=words):
        from_json(text)
