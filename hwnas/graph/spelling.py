"""The canonical spelling of operations and of what their fields hold: the text that hashes are made of (our definition).

An operation is spelt as its kind and, by name, those of its fields that differ from their defaults. So a field that is added to
an operation later changes the spelling of nothing that leaves it at its default, and with it no stored id. In return the kind,
the name of a field and a default, once released, stay as they are: stored graphs leave the defaults out, too.

Equal values have equal spellings: numbers are spelt by value, whatever their type (``6`` and ``6.0`` are one, as they are for
``==``), members of an enumeration as their value.
"""

import dataclasses
import json
import math
from enum import Enum
from functools import lru_cache
from typing import Any

from hwnas.errors import GraphError
from hwnas.graph.ops import Op


def spelling(value: object) -> str:
    """An operation, number, text, None, member of an enumeration or tuple of these as text. Raises GraphError for all else."""
    if isinstance(value, Op):
        return _op(value)
    if isinstance(value, Enum):
        return spelling(value.value)
    if isinstance(value, int | float):
        return _number(value)
    if isinstance(value, tuple):
        return f"({','.join(map(spelling, value))})"
    if value is None or isinstance(value, str):
        return json.dumps(value)
    raise GraphError(f"operations hold numbers, text, None, enumerations, operations and tuples of them, got {value!r}")


@lru_cache
def fields_of(op: type[Op]) -> tuple[tuple[str, tuple[object, ...]], ...]:
    """The names of the fields that an operation is made from, each with its default; an empty tuple where it has none."""
    return tuple((field.name, _default(field)) for field in dataclasses.fields(op) if field.init)


def non_default_fields(op: Op) -> dict[str, object]:
    """The fields of an operation that differ from their defaults, by name in alphabetical order."""
    found = {name: (getattr(op, name), default) for name, default in fields_of(type(op))}
    return {name: value for name, (value, default) in sorted(found.items()) if not default or value != default[0]}


@lru_cache(maxsize=4096)
def _op(op: Op) -> str:
    return f"{op.kind}({','.join(f'{name}={spelling(value)}' for name, value in non_default_fields(op).items())})"


def _default(field: dataclasses.Field[Any]) -> tuple[object, ...]:
    if field.default_factory is not dataclasses.MISSING:
        return (field.default_factory(),)
    return () if field.default is dataclasses.MISSING else (field.default,)


def _number(value: float) -> str:
    if math.isnan(value):
        raise GraphError("an operation cannot hold NaN, which does not even equal itself")
    return str(int(value)) if math.isfinite(value) and value == int(value) else float(value).hex()
