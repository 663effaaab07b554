"""One operation of an exported program: its arguments by name, and what they stand for."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import Tensor, fx

from hwnas.errors import ModelError
from hwnas.importing.source_line import source_line


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """A tensor computed from the images: the output of a node of the graph, its channels last or, as in graphs, first."""

    node: int
    channels_last: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Constant:
    """A tensor that does not depend on the images; ``names`` are those of the model's own tensors that it is, or is made of."""

    tensor: Tensor
    names: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What an operation with several outputs gives."""

    parts: tuple["Value | Constant", ...]


Held: TypeAlias = Value | Constant | Parts


class Call:
    """An operation as it is called in an exported program."""

    def __init__(self, node: fx.Node, held: Mapping[fx.Node, Held]) -> None:
        self.node = node
        self._held = held
        target: Any = node.target
        schema = getattr(target, "_schema", None)
        self.name: str = getattr(target, "__name__", str(target)) if schema is None else schema.name
        self._arguments: dict[str, Any] = dict(node.kwargs)
        for place, argument in enumerate(schema.arguments if schema is not None else ()):
            if place < len(node.args):
                self._arguments[argument.name] = node.args[place]
            else:
                self._arguments.setdefault(argument.name, argument.default_value)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of what it gives, the batch included."""
        return tuple(self.node.meta["val"].shape)

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """The shapes of what it gives, where that are several tensors."""
        return tuple(tuple(each.shape) for each in self.node.meta["val"])

    def raw(self, name: str) -> Any:
        """An argument as it stands, None where the operation has none of that name."""
        return self._arguments.get(name)

    def value(self, name: str) -> Value:
        """An argument that is computed from the images. Raises ModelError."""
        return self._value(self.raw(name), name)

    def values(self, name: str) -> list[Value]:
        """A list of such arguments. Raises ModelError."""
        return [self._value(each, name) for each in self.raw(name)]

    def held(self, name: str) -> Held | float | None:
        """What an argument stands for: a value, a constant or a number."""
        given = self.raw(name)
        return self._held[given] if isinstance(given, fx.Node) else given

    def constant(self, name: str) -> Constant | None:
        """An argument that is a tensor of the model, None where it is left out. Raises ModelError."""
        held = self.held(name)
        if held is not None and not isinstance(held, Constant):
            raise self.refuse(f"its {name} is computed from the images; only tensors of the model itself are taken there")
        return held

    def needed(self, name: str) -> Constant:
        """An argument that must be a tensor of the model. Raises ModelError."""
        constant = self.constant(name)
        if constant is None:
            raise self.refuse(f"it has no {name}")
        return constant

    def integers(self, name: str, count: int = 2) -> tuple[int, ...]:
        """A list of ``count`` whole numbers, of which torch may be given one for all. Raises ModelError."""
        given = self.raw(name)
        numbers = (given,) if isinstance(given, int) else tuple(given or ())
        if not all(isinstance(number, int) for number in numbers):
            raise self.refuse(f"its {name} {given} depends on the images")
        return numbers * count if len(numbers) == 1 else numbers

    def refuse(self, why: str) -> ModelError:
        """The error that says that this operation cannot be taken, and where it stands in the user's source."""
        line = source_line(self.node)
        return ModelError(f"cannot take {self.name}{f' ({line})' if line else ''}: {why}")

    def is_constant(self) -> bool:
        """Whether it reads no image, so that it can be computed now."""
        return all(isinstance(self._held[each], Constant) for each in self.node.all_input_nodes)

    def compute(self) -> Held:
        """What it gives, computed from constants alone."""
        names = frozenset[str]().union(*(self._constant(each).names for each in self.node.all_input_nodes))
        args, kwargs = fx.map_arg((self.node.args, self.node.kwargs), lambda each: self._constant(each).tensor)
        with torch.no_grad():
            given = self.node.target(*args, **kwargs)  # type: ignore[operator]
        if isinstance(given, Tensor):
            return Constant(tensor=given, names=names)
        return Parts(parts=tuple(Constant(tensor=each, names=names) for each in given))

    def _constant(self, node: fx.Node) -> Constant:
        held = self._held[node]
        assert isinstance(held, Constant)
        return held

    def _value(self, given: Any, name: str) -> Value:
        held = self._held.get(given) if isinstance(given, fx.Node) else None
        if not isinstance(held, Value):
            raise self.refuse(f"its {name} must be computed from the images, it is a constant")
        return held
