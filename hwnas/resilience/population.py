"""The bits that can be hit: those of named tensors, one behind the other, so that a fault drawn uniformly is one integer.

Bit index = bits of the tensors before + element * word width + bit in the word. Uniform over bits,
never layer first: a layer-first draw gives a stem with 0.6 % of the weights 11 % of the faults.
"""

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from hwnas.errors import ConfigError, ModelError
from hwnas.resilience.formats import Format, Words
from hwnas.resilience.intervals import Indices


class Role(StrEnum):
    """What a tensor is for; roles are listed apart."""

    WEIGHT = "weight"
    BIAS = "bias"
    QUANTISATION = "quantisation parameter"
    ACTIVATION = "activation"


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorBits:
    """A tensor in memory: its number of elements, format, role and the layer it belongs to."""

    name: str
    layer: str
    role: Role
    size: int
    format: Format

    def __post_init__(self) -> None:
        if self.size < 1:
            raise ModelError(f"tensor {self.name!r} must have at least one element to be hit, got {self.size}; leave it out")

    @property
    def bits(self) -> int:
        """Bits the tensor takes in memory."""
        return self.size * self.format.bits


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where bit indices lie: tensor number, element in the flattened tensor and bit in the word, each (k,)."""

    tensors: Indices
    elements: Indices
    bits: Indices


@dataclass(frozen=True, slots=True, kw_only=True)
class WordMasks:
    """The words of one tensor that one trial hits: distinct elements (k,) ascending, and the bits to disturb in each (k,)."""

    tensor: str
    elements: Indices
    masks: Words


@dataclass(frozen=True, kw_only=True)  # not slotted: the offsets are computed once and kept
class Population:
    """All bits of some tensors, in the order given. Raises ModelError when there are none or a name comes twice."""

    tensors: tuple[TensorBits, ...]

    def __post_init__(self) -> None:
        names = [tensor.name for tensor in self.tensors]
        if not names:
            raise ModelError("expected at least one tensor that a fault can hit, got none; choose a model with weights")
        if len(set(names)) < len(names):
            raise ModelError(f"expected tensor names to be distinct, got {names}; rename the repeated ones")

    @cached_property
    def offsets(self) -> Indices:
        """First bit of every tensor, and the total, (tensors + 1,)."""
        return np.concatenate([[0], np.cumsum([tensor.bits for tensor in self.tensors])]).astype(np.int64)

    @cached_property
    def _word_bits(self) -> Indices:
        return np.array([tensor.format.bits for tensor in self.tensors], np.int64)

    @property
    def size(self) -> int:
        """Number of bits, the memory a fault can strike."""
        return int(self.offsets[-1])

    def bits_of(self, role: Role) -> int:
        """Number of bits in tensors of one role."""
        return sum(tensor.bits for tensor in self.tensors if tensor.role is role)

    def only(self, *, roles: Collection[Role]) -> "Population":
        """The part whose tensors have one of these roles. Raises ModelError if that leaves nothing."""
        return Population(tensors=tuple(tensor for tensor in self.tensors if tensor.role in roles))

    def locate(self, indices: ArrayLike) -> Places:
        """The place of each bit index (k,). Raises ConfigError for an index outside the population."""
        indices = np.atleast_1d(np.asarray(indices, np.int64))
        if indices.size and not (indices.min() >= 0 and indices.max() < self.size):
            raise ConfigError(
                f"expected bit indices from 0 to {self.size - 1}, got {indices.min()} to "
                f"{indices.max()}; was the fault list made for this model?"
            )
        tensors = np.searchsorted(self.offsets, indices, side="right") - 1
        elements, bits = np.divmod(indices - self.offsets[tensors], self._word_bits[tensors])
        return Places(tensors=tensors, elements=elements, bits=bits)

    def index(self, *, tensor: str, element: int, bit: int) -> int:
        """The bit index of a place; the inverse of `locate`. Raises ConfigError if there is no such place."""
        for number, candidate in enumerate(self.tensors):
            if candidate.name == tensor and 0 <= element < candidate.size and 0 <= bit < candidate.format.bits:
                return int(self.offsets[number]) + element * candidate.format.bits + bit
        raise ConfigError(f"no bit {bit} of element {element} in a tensor {tensor!r} here; was the fault made for this model?")

    def masks(self, indices: ArrayLike) -> tuple[WordMasks, ...]:
        """Distinct bit indices (k,) gathered to one mask per word, tensor by tensor."""
        places = self.locate(indices)
        found = []
        for number in np.unique(places.tensors):
            tensor, here = self.tensors[number], places.tensors == number
            elements, word = np.unique(places.elements[here], return_inverse=True)
            masks = np.zeros(len(elements), tensor.format.word)
            np.bitwise_or.at(
                masks, word, np.left_shift(np.uint64(1), places.bits[here].astype(np.uint64)).astype(tensor.format.word)
            )
            found.append(WordMasks(tensor=tensor.name, elements=elements, masks=masks))
        return tuple(found)
