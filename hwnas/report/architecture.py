"""A network as the page draws it: one row for each stored tensor, with what computes it, its shape and its cost."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from hwnas.graph import Graph, LayerCost, Op, layer_costs, stored_tensors
from hwnas.graph.spelling import fields_of, non_default_fields

# The shape tells them, or the reader has no use for them.
_LEFT_OUT = {"out_channels", "out_features", "padding", "bias", "eps", "momentum", "height", "width"}
_WINDOW = "kernel"


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """A row of the drawing.

    ``kind``: the kind of computation (dense, depthwise, linear, pool, join, input). ``reads``: places of the rows that it is
    computed from, in order. ``parameters`` as torch counts them, batch norms included; ``macs`` as everywhere.
    """

    kind: str
    text: str
    shape: tuple[int, ...]
    reads: tuple[int, ...]
    parameters: int
    macs: int


def layers_of(graph: Graph) -> tuple[Layer, ...]:
    """The rows of a network, the input first and the logits last; no row is read before it is computed."""
    image, *others = stored_tensors(graph)
    places = {tensor.node: place for place, tensor in enumerate((image, *others))}
    first = Layer(kind="input", text="input", shape=image.shape, reads=(), parameters=0, macs=0)
    return (first, *(_layer(graph, cost, places) for cost in layer_costs(graph)))


def described(op: Op) -> str:
    """An operation in words: ``conv 3×3, stride 2``; fields that have their default, or that a shape tells, are left out."""
    if op.known_as is not None:
        return op.known_as
    fields = {name: value for name, value in non_default_fields(op).items() if name not in (*_LEFT_OUT, _WINDOW)}
    window = f" {_window(getattr(op, _WINDOW))}" if _WINDOW in dict(fields_of(type(op))) else ""
    return op.kind.replace("_", " ") + window + "".join(f", {_field(name, value)}" for name, value in fields.items())


def _layer(graph: Graph, cost: LayerCost, places: dict[int, int]) -> Layer:
    producer, *fused = (graph[node] for node in cost.stored.nodes)
    counts = [_count(graph.input_shapes(node), node.op) for node in (producer, *fused)]
    return Layer(
        kind=producer.op.cost_kind,
        text=" + ".join([described(producer.op), *(described(node.op) for node in fused)]),
        shape=cost.stored.shape,
        reads=tuple(places[source] for source in cost.stored.reads),
        parameters=sum(counts),
        macs=cost.macs,
    )


def _count(inputs: Sequence[tuple[int, ...]], op: Op) -> int:
    return sum(math.prod(shape) for shape in op.parameters(inputs).values())


def _window(value: object) -> str:
    height, width = value if isinstance(value, tuple) else (value, value)
    return f"{height}×{width}"


def _field(name: str, value: object) -> str:
    words = name.replace("_", " ")
    if value is True:
        return words
    if isinstance(value, tuple):
        return f"{words} {('×' if all(isinstance(each, int) for each in value) else ' and ').join(map(str, value))}"
    return f"{words} {value}"
