"""Equal values are spelt alike, others are not, and a field that is added later changes neither ids nor stored graphs."""

import dataclasses
import enum
import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwnas.errors import GraphError
from hwnas.graph import Clip, Conv, Flatten, Graph, Node, architecture_id, from_json, to_json
from hwnas.graph.ops.registry import _REGISTERED
from hwnas.graph.spelling import spelling
from tests.graphs import SAMPLES


class Rounding(enum.Enum):
    UP = "up"
    DOWN = "down"


@dataclass(frozen=True, slots=True, kw_only=True)
class LaterConv(Conv):
    """A convolution as a later version may have it: with more fields, all of which have a default."""

    kind: ClassVar[str] = "conv"
    shift: int | tuple[int, int] = 1
    slope: float | None = None
    limits: tuple[float, ...] = (0.0, math.inf)
    mode: Literal["zeros", "reflect"] = "zeros"
    rounding: Rounding = Rounding.UP


OTHER = {
    "shift": (2, 1), "slope": 0.1, "limits": (-math.inf, 1.5), "mode": "reflect", "rounding": Rounding.DOWN,
}  # fmt: skip
values = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.floats(allow_nan=False) | st.text(max_size=3) | st.sampled_from(Rounding),
    lambda inner: st.tuples(inner) | st.tuples(inner, inner),
    max_leaves=4,
)


def later(graph: Graph, **fields: object) -> Graph:
    """The graph with its convolutions as a later version has them."""

    def op(node: Node) -> Node:
        if not isinstance(node.op, Conv):
            return node
        its = {field.name: getattr(node.op, field.name) for field in dataclasses.fields(node.op)}
        return Node(node.id, LaterConv(**its, **fields), node.inputs)

    return Graph(tuple(map(op, graph)), graph.output)


@given(one=values, other=values)
def test_equal_values_and_no_others_are_spelt_alike(one: object, other: object) -> None:
    assert (spelling(one) == spelling(other)) == (plain(one) == plain(other))


def plain(value: object) -> object:
    """A value with members of enumerations as their values, which they are spelt as."""
    if isinstance(value, tuple):
        return tuple(map(plain, value))
    return value.value if isinstance(value, Rounding) else value


def test_an_operation_is_its_kind_and_what_differs_from_the_defaults() -> None:
    assert spelling(Flatten()) == "flatten()"
    assert spelling(Conv(padding=1, out_channels=8, kernel=3)) == "conv(kernel=3,out_channels=8,padding=1)"
    assert spelling(Conv(out_channels=8, kernel=3, padding=1, bias=True)) == "conv(bias=1,kernel=3,out_channels=8,padding=1)"
    clips = (Clip(), Clip(high=6.0), Clip(high=6), Clip(low=-0.5))
    assert spelling(clips) == "(clip(),clip(high=6),clip(high=6),clip(low=-0x1.0000000000000p-1))"
    assert spelling(Clip(low=-math.inf, high=0)) == "clip(high=0,low=-inf)"


@pytest.mark.parametrize("value", [math.nan, [1], {"a": 1}, object()])
def test_what_has_no_spelling_is_refused(value: object) -> None:
    with pytest.raises(GraphError):
        spelling((value,))


@pytest.mark.parametrize("name", SAMPLES)
def test_a_field_that_is_added_with_a_default_changes_neither_id_nor_json(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    graph = SAMPLES[name]()
    grown = later(graph)
    assert architecture_id(grown) == architecture_id(graph)
    assert to_json(grown) == to_json(graph)
    monkeypatch.setitem(_REGISTERED, "conv", LaterConv)
    assert from_json(to_json(graph)) == grown


@pytest.mark.parametrize("field", OTHER)
def test_a_field_of_any_type_counts_where_it_differs_and_is_stored(field: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(_REGISTERED, "conv", LaterConv)
    graph = SAMPLES["flat"]()
    grown = later(graph, **{field: OTHER[field]})
    assert architecture_id(grown) != architecture_id(graph)
    assert from_json(to_json(grown)) == grown
