"""A graph as JSON and back, with a version; what comes from outside is checked before it is believed."""

import dataclasses
import json
import math
from typing import Any

from pydantic import TypeAdapter, ValidationError

from hwnas.errors import GraphError
from hwnas.graph.graph import Graph, Node
from hwnas.graph.ops import OPS, Op

VERSION = 1


def to_json(graph: Graph) -> str:
    """The graph as a JSON object with ``version``, ``output`` and ``nodes``; infinities are written as strings."""
    nodes = [
        {"id": node.id, "op": node.op.kind, "inputs": list(node.inputs), **_parameters_to_json(node.op)} for node in graph.nodes
    ]
    return json.dumps({"version": VERSION, "output": graph.output, "nodes": nodes}, separators=(",", ":"))


def from_json(text: str) -> Graph:
    """The graph that ``to_json`` wrote. Raises GraphError where the text is not one, naming what is wrong."""
    try:
        data = json.loads(text)
    except json.JSONDecodeError as error:
        raise GraphError(f"a graph is a JSON object, got text that is not JSON: {error}") from None
    if not isinstance(data, dict) or data.get("version") != VERSION:
        version = data.get("version") if isinstance(data, dict) else type(data).__name__
        raise GraphError(f"expected a graph of version {VERSION}, got {version!r}; it was written by another hwnas")
    try:
        nodes = tuple(_node(entry) for entry in data["nodes"])
        return Graph(nodes, data["output"])
    except (KeyError, TypeError, ValueError) as error:
        raise error if isinstance(error, GraphError) else GraphError(f"not a graph: {error!r}") from None


def _parameters_to_json(op: Op) -> dict[str, Any]:
    values = {field.name: getattr(op, field.name) for field in dataclasses.fields(op)}
    return {k: str(v) if isinstance(v, float) and math.isinf(v) else v for k, v in values.items()}


def _node(entry: dict[str, Any]) -> Node:
    rest = dict(entry)
    node_id, kind, inputs = rest.pop("id"), rest.pop("op"), rest.pop("inputs")
    if kind not in OPS:
        raise GraphError(f"node {node_id}: unknown operation {kind!r}; known are {', '.join(OPS)}")
    fields = {field.name: field.type for field in dataclasses.fields(OPS[kind])}
    values = {name: _value(node_id, name, fields.get(name), value) for name, value in rest.items()}
    if not all(type(i) is int for i in (node_id, *inputs)):
        raise GraphError(f"node {node_id!r}: ids must be integers, got {node_id!r} with inputs {inputs!r}")
    return Node(node_id, OPS[kind](**values), tuple(inputs))


def _value(node_id: object, name: str, expected: Any, value: object) -> object:
    """A parameter in its type; JSON writes tuples as lists, and infinities are strings."""
    if expected is float and value in ("inf", "-inf"):
        return float(str(value))
    if expected is None:
        raise GraphError(f"node {node_id}: {name}={value!r} does not fit; expected no such parameter")
    try:
        return TypeAdapter(expected).validate_python(tuple(value) if isinstance(value, list) else value, strict=True)
    except ValidationError:
        wanted = getattr(expected, "__name__", str(expected))
        raise GraphError(f"node {node_id}: {name}={value!r} does not fit; expected {wanted}") from None
