"""The weights as they lie in a device's memory: named arrays in their stored format, and what a fault writes there."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hwnas.errors import WorkError
from hwnas.resilience import Fault, FaultKind, Population, TensorBits, disturbed
from hwnas.resilience.formats import Values
from hwnas.resilience.intervals import Indices


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Words of one tensor that hold something else: distinct flat elements (k,) and what they hold, (k,) as stored."""

    tensor: str
    elements: Indices
    values: Values


class Memory:
    """Read-only arrays by name, in stored format and of any shape, beside the population of their bits."""

    def __init__(self, tensors: Sequence[TensorBits], arrays: Mapping[str, Values]) -> None:
        self.population = Population(tensors=tuple(tensors))
        self.formats = {tensor.name: tensor.format for tensor in tensors}
        self.layers = {tensor.name: tensor.layer for tensor in tensors}
        self.arrays = {name: np.ascontiguousarray(arrays[name]).copy() for name in self.formats}
        for array in self.arrays.values():
            array.flags.writeable = False
        self._sha256 = self.sha256()

    def sha256(self) -> str:
        """Hash of every name, shape and word."""
        digest = hashlib.sha256()
        for name, array in self.arrays.items():
            digest.update(f"{name} {self.formats[name].name} {array.shape}".encode())
            digest.update(array.tobytes())
        return digest.hexdigest()

    def check_unharmed(self) -> None:
        """Raise WorkError unless every weight is what it was, bit by bit."""
        if self.sha256() != self._sha256:
            raise WorkError("the campaign changed the weights it worked on, so its results are void; please report this bug")

    def changes(self, faults: Iterable[Fault]) -> tuple[Change, ...]:
        """What the faults of one trial write, tensor by tensor; they hit distinct words."""
        hit: dict[str, list[Fault]] = {}
        for fault in faults:
            hit.setdefault(fault.tensor, []).append(fault)
        changes = []
        for name, found in hit.items():
            flat = self.arrays[name].reshape(-1)
            values = [fault.applied(flat[fault.element : fault.element + 1], self.formats[name]) for fault in found]
            elements = np.array([fault.element for fault in found], np.int64)
            changes.append(Change(tensor=name, elements=elements, values=np.concatenate(values)))
        return tuple(changes)

    def flipped(self, bits: Indices, kind: FaultKind = FaultKind.FLIP) -> tuple[Change, ...]:
        """What flipping (or sticking) these population bits (k,) writes."""
        return tuple(
            Change(
                tensor=hit.tensor,
                elements=hit.elements,
                values=disturbed(
                    self.arrays[hit.tensor].reshape(-1)[hit.elements], hit.masks, self.formats[hit.tensor], kind=kind
                ),
            )
            for hit in self.population.masks(bits)
        )

    def changed(self, change: Change) -> Values:
        """A copy of the tensor with the change in it."""
        array = self.arrays[change.tensor].copy()
        array.reshape(-1)[change.elements] = change.values
        return array
