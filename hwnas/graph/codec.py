"""A graph as JSON and back, with a version; what comes from outside is checked before it is believed.

Fields that have their default are left out, so that a field which is added to an operation later changes no stored graph.
"""

import json
from functools import lru_cache
from typing import Annotated, Any, Literal, TypeAlias, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError, create_model
from pydantic_core import to_jsonable_python

from hwnas.errors import GraphError
from hwnas.graph.graph import Graph, Node
from hwnas.graph.ops import OPS, Op
from hwnas.graph.spelling import fields_of, non_default_fields

Version: TypeAlias = Literal[1]
VERSION: Version = 1


class _Entry(BaseModel):
    """A node; whatever else it holds are its operation's fields."""

    model_config = ConfigDict(strict=True, extra="allow")
    id: int
    op: str
    inputs: tuple[int, ...]


class _Document(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")
    version: Version
    output: int
    nodes: tuple[_Entry, ...]


def to_json(graph: Graph) -> str:
    """The graph as a JSON object with ``version``, ``output`` and ``nodes``; infinities are written as strings."""
    nodes = [{"id": node.id, "op": node.op.kind, "inputs": node.inputs, **_fields_to_json(node.op)} for node in graph.nodes]
    return json.dumps({"version": VERSION, "output": graph.output, "nodes": nodes}, separators=(",", ":"))


def from_json(text: str) -> Graph:
    """The graph that ``to_json`` wrote. Raises GraphError where the text is not one, naming what is wrong."""
    try:
        document = _Document.model_validate_json(text)
    except ValidationError as error:
        raise GraphError(_not_a_graph(error)) from None
    return Graph(tuple(map(_node, document.nodes)), document.output)


def _fields_to_json(op: Op) -> dict[str, Any]:
    written: dict[str, Any] = to_jsonable_python(non_default_fields(op), inf_nan_mode="strings")
    return written


def _node(entry: _Entry) -> Node:
    if entry.op not in OPS:
        raise GraphError(f"node {entry.id}: unknown operation {entry.op!r}; known are {', '.join(OPS)}")
    kind = OPS[entry.op]
    try:
        read = _reader(kind).model_validate_json(json.dumps(entry.model_extra))
    except ValidationError as error:
        raise GraphError(f"node {entry.id}: {_misfit(error, kind)}") from None
    return Node(entry.id, kind(**{name: getattr(read, name) for name in read.model_fields_set}), entry.inputs)


@lru_cache
def _reader(kind: type[Op]) -> type[BaseModel]:
    """What checks the fields of an operation: as strict as JSON allows, whose arrays are tuples and whose integers floats."""
    hints = get_type_hints(kind)
    fields: dict[str, Any] = {
        name: (_with_infinity(hints[name]), default[0] if default else ...) for name, default in fields_of(kind)
    }
    return create_model(kind.__name__, __config__=ConfigDict(strict=True, extra="forbid"), **fields)


def _with_infinity(hint: Any) -> Any:
    """A type in which every float may be infinite, which JSON has no number for."""
    if hint is float:
        return Annotated[float, BeforeValidator(_infinity)]
    inner, origin = get_args(hint), get_origin(hint)
    if not inner or origin is Literal:
        return hint
    container: Any = tuple if origin is tuple else Union
    return container[tuple(map(_with_infinity, inner))]


def _infinity(value: object) -> object:
    return float(value) if value in ("inf", "-inf", "Infinity", "-Infinity") and isinstance(value, str) else value


def _not_a_graph(error: ValidationError) -> str:
    problem = error.errors()[0]
    place, got = ".".join(map(str, problem["loc"])), problem["input"]
    if problem["type"] == "json_invalid":
        return f"a graph is a JSON object, got text that is not JSON: {problem['msg']}"
    if place == "version":
        return f"expected a graph of version {VERSION}, got {got!r}; it was written by another hwnas"
    return f"not a graph: {place}: {problem['msg']}, got {got!r}"


def _misfit(error: ValidationError, kind: type[Op]) -> str:
    problem = error.errors()[0]
    name, known = str(problem["loc"][0]), [field for field, _ in fields_of(kind)]
    if problem["type"] == "extra_forbidden":
        return f"{kind.kind} has no field {name}; it has {', '.join(known) or 'none'}"
    if problem["type"] == "missing" and len(problem["loc"]) == 1:
        return f"{kind.kind} needs the field {name}"
    hint = get_type_hints(kind)[name]
    return f"{name}={problem['input']!r} does not fit; expected {getattr(hint, '__name__', hint)}: {problem['msg']}"
