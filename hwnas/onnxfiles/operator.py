"""One operator of an ONNX file, its attributes read with the types that ONNX gives them."""

import numpy as np
from onnx import AttributeProto, NodeProto

from hwnas.errors import UnsupportedOperatorError

OURS = "hwnas"  # the domain of operators that stand for several of a file's; see hwnas.onnxfiles.patterns
STANDARD = ("", "ai.onnx", OURS)


def readable(text: str | bytes) -> str:
    """A text of a file as a string: protobuf gives bytes where it is no UTF-8."""
    return text if isinstance(text, str) else text.decode("utf-8", "replace")


class Operator:
    """A node of an ONNX graph. ``inputs`` and ``outputs`` are names; an empty one stands for what is left out."""

    def __init__(self, node: NodeProto) -> None:
        self.kind, self.name, self.domain = readable(node.op_type), readable(node.name), readable(node.domain)
        self.inputs, self.outputs = tuple(map(readable, node.input)), tuple(map(readable, node.output))
        self._attributes = {readable(attribute.name): attribute for attribute in node.attribute}

    @property
    def output(self) -> str:
        """The first output. Raises UnsupportedOperatorError where there is none."""
        if not self.outputs:
            raise self.refuse("it has no output")
        return self.outputs[0]

    def input(self, place: int) -> str:
        """An input's name, empty where it is left out."""
        return self.inputs[place] if place < len(self.inputs) else ""

    def refuse(self, why: str) -> UnsupportedOperatorError:
        """The error that says why this operator is not taken."""
        return UnsupportedOperatorError(f"operator {self.kind} {(self.name or ', '.join(self.outputs))!r}: {why}")

    def has(self, name: str) -> bool:
        """Whether the attribute is given."""
        return name in self._attributes

    def integer(self, name: str, default: int) -> int:
        """An attribute that is a whole number."""
        found = self._typed(name, AttributeProto.INT)
        return default if found is None else int(found.i)

    def integers(self, name: str, default: tuple[int, ...] = ()) -> tuple[int, ...]:
        """An attribute that is a list of whole numbers."""
        found = self._typed(name, AttributeProto.INTS)
        return default if found is None else tuple(found.ints)

    def number(self, name: str, default: float) -> float:
        """An attribute that is a float32 number, as the shortest decimal that says it: 1e-05, not 9.999999747378752e-06."""
        found = self._typed(name, AttributeProto.FLOAT)
        return default if found is None else float(str(np.float32(found.f)))

    def numbers(self, name: str) -> tuple[float, ...]:
        """An attribute that is a list of float32 numbers."""
        found = self._typed(name, AttributeProto.FLOATS)
        return () if found is None else tuple(found.floats)

    def text(self, name: str, default: str) -> str:
        """An attribute that is a text."""
        found = self._typed(name, AttributeProto.STRING)
        return default if found is None else readable(found.s)

    def tensor(self, name: str) -> AttributeProto | None:
        """An attribute that is a tensor, as the file holds it."""
        return self._typed(name, AttributeProto.TENSOR)

    def _typed(self, name: str, kind: int) -> AttributeProto | None:
        found = self._attributes.get(name)
        if found is not None and found.type != kind:
            raise self.refuse(f"its attribute {name!r} must be {_kind(kind)}, got {_kind(found.type)}")
        return found


def _kind(number: int) -> str:
    names = AttributeProto.AttributeType
    return names.Name(number) if number in names.values() else str(number)
