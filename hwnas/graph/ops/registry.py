"""Operations by name: those of hwnas, and those that a user registers."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import TypeVar

from hwnas.errors import GraphError
from hwnas.graph.ops.op import Op

OpClass = TypeVar("OpClass", bound=type[Op])
_REGISTERED: dict[str, type[Op]] = {}
OPS: Mapping[str, type[Op]] = MappingProxyType(_REGISTERED)


def register_op(op: OpClass) -> OpClass:
    """Make an operation known by its ``kind``, so that stored graphs can name it; a class decorator.

    What torch computes for it is registered apart: ``hwnas.network.register_compute``. Registering the same class again (a module
    that is imported twice) changes nothing. Raises GraphError where the class leaves out a method that has no default, or another
    operation has that kind.
    """
    if missing := sorted(getattr(op, "__abstractmethods__", ())):
        raise GraphError(f"the operation {op.__qualname__} does not say its {', '.join(missing)}; each operation must")
    known = _REGISTERED.get(op.kind)
    if known is not None and (known.__module__, known.__qualname__) != (op.__module__, op.__qualname__):
        raise GraphError(f"an operation {op.kind!r} is registered already, {known.__qualname__}; choose another kind")
    _REGISTERED[op.kind] = op
    return op
