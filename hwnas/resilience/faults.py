"""Fault models: what one trial disturbs.

Models that start from one drawn bit (a sampler's unit) give `Fault` records: single, stuck-at, burst, and, for
comparison with PyTorchFI only, random value and zero. The bit error rate model draws its own bits, too many for
records: `draw_bit_errors` and `Population.masks`.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, assert_never

import numpy as np
from numpy.typing import ArrayLike

from hwnas.errors import ConfigError
from hwnas.resilience.formats import Format, Values
from hwnas.resilience.intervals import Indices
from hwnas.resilience.population import Population, TensorBits


class FaultKind(StrEnum):
    """What happens to the bits of a fault."""

    FLIP = "flip"
    STUCK_AT_0 = "stuck-at-0"
    STUCK_AT_1 = "stuck-at-1"
    RANDOM_VALUE = "random value"
    ZERO = "zero"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One disturbed word: element of a flattened tensor, and its bits in ascending order.

    `value` is the new value where the kind is a random value, else None.
    """

    kind: FaultKind
    tensor: str
    element: int
    bits: tuple[int, ...]
    value: float | None = None

    def __post_init__(self) -> None:
        if self.element < 0 or not self.bits or list(self.bits) != sorted(set(self.bits)):
            raise ConfigError(
                f"a fault needs an element from 0 and ascending distinct bits, got "
                f"{self.element} and {self.bits}; correct the record"
            )
        if (self.value is not None) != (self.kind is FaultKind.RANDOM_VALUE):
            raise ConfigError(
                f"a random value fault, and no other, has a value; got {self.kind} and {self.value}; correct the record"
            )

    def applied(self, values: Values, layout: Format) -> Values:
        """The words `values` (any shape) as this fault leaves them, out of place."""
        match self.kind:
            case FaultKind.ZERO:
                return np.zeros_like(values)
            case FaultKind.RANDOM_VALUE:
                return np.full_like(values, layout.encode(np.float64(self.value or 0.0)))
            case kind:
                return disturbed(values, layout.mask(*self.bits), layout, kind=kind)


def disturbed(values: Values, masks: ArrayLike, layout: Format, *, kind: FaultKind) -> Values:
    """`values` with the bits of `masks` (same shape, or one for all) flipped or stuck, out of place."""
    match kind:
        case FaultKind.FLIP:
            return layout.flip(values, masks)
        case FaultKind.STUCK_AT_0 | FaultKind.STUCK_AT_1:
            return layout.force(values, masks, level=int(kind is FaultKind.STUCK_AT_1))
        case FaultKind.RANDOM_VALUE | FaultKind.ZERO:
            raise ConfigError(
                f"expected a fault of bits (flip or stuck-at), got {kind}, which replaces the word; use Fault.applied"
            )
        case _:
            assert_never(kind)


@dataclass(frozen=True, slots=True, kw_only=True)
class Single:
    """One bit of one word: flipped, or stuck at a level."""

    kind: FaultKind = FaultKind.FLIP

    def __post_init__(self) -> None:
        if self.kind in (FaultKind.RANDOM_VALUE, FaultKind.ZERO):
            raise ConfigError(
                f"a single fault flips a bit or holds it at a level, got {self.kind}; use Replaced for whole values"
            )

    def at(self, population: Population, index: int, rng: np.random.Generator) -> tuple[Fault, ...]:
        """The fault at one bit index."""
        tensor, element, bit = _place(population, index)
        return (Fault(kind=self.kind, tensor=tensor.name, element=element, bits=(bit,)),)


@dataclass(frozen=True, slots=True, kw_only=True)
class Burst:
    """`length` neighbours flip: adjacent bits of a word, or the same bit of adjacent words of a tensor.

    The drawn bit is the lowest; a burst that would leave its word or tensor is moved down until it fits (our
    definition). A tensor of fewer words than `length` is hit in all of them.
    """

    length: int
    across: Literal["bits", "words"] = "bits"

    def __post_init__(self) -> None:
        if self.length < 1 or self.across not in ("bits", "words"):
            raise ConfigError(
                f"a burst is 1 or more 'bits' or 'words' long, got {self.length} {self.across!r}; correct the length or direction"
            )

    def at(self, population: Population, index: int, rng: np.random.Generator) -> tuple[Fault, ...]:
        """The faults of the burst at one bit index, one per word. Raises ConfigError if the burst is longer than the word."""
        tensor, element, bit = _place(population, index)
        if self.across == "words":
            first = max(0, min(element, tensor.size - self.length))
            hit = range(first, min(first + self.length, tensor.size))
            return tuple(Fault(kind=FaultKind.FLIP, tensor=tensor.name, element=word, bits=(bit,)) for word in hit)
        if self.length > tensor.format.bits:
            raise ConfigError(
                f"a word of {tensor.name!r} has {tensor.format.bits} bits, got a burst of {self.length}; shorten the burst"
            )
        low = min(bit, tensor.format.bits - self.length)
        return (Fault(kind=FaultKind.FLIP, tensor=tensor.name, element=element, bits=tuple(range(low, low + self.length))),)


@dataclass(frozen=True, slots=True, kw_only=True)
class Replaced:
    """The word is replaced by zero or by a uniform random value (PyTorchFI's default range is -1 to 1).

    For comparison with PyTorchFI only; random values are for floating-point formats.
    """

    kind: FaultKind = FaultKind.RANDOM_VALUE
    low: float = -1.0
    high: float = 1.0

    def __post_init__(self) -> None:
        if self.kind not in (FaultKind.RANDOM_VALUE, FaultKind.ZERO) or not self.low <= self.high:
            raise ConfigError(
                f"expected a random value or zero and low <= high, got {self.kind}, {self.low}, {self.high}; use Single for bits"
            )

    def at(self, population: Population, index: int, rng: np.random.Generator) -> tuple[Fault, ...]:
        """The fault at the word of one bit index; `rng` gives the value."""
        tensor, element, _ = _place(population, index)
        if self.kind is FaultKind.RANDOM_VALUE and tensor.format.name.startswith("int"):
            raise ConfigError(
                f"random values are drawn for floating-point tensors, {tensor.name!r} is {tensor.format.name}; use bit flips"
            )
        value = float(rng.uniform(self.low, self.high)) if self.kind is FaultKind.RANDOM_VALUE else None
        return (Fault(kind=self.kind, tensor=tensor.name, element=element, bits=tuple(range(tensor.format.bits)), value=value),)


BitFaultModel = Single | Burst | Replaced


def draw_bit_errors(population: Population, ber: float, rng: np.random.Generator) -> Indices:
    """Bit indices of one trial at bit error rate `ber`, (k,) distinct: k ~ Binomial(bits, ber), then k bits uniformly.

    Raises ConfigError for a rate outside [0, 1].
    """
    if not 0.0 <= ber <= 1.0:
        raise ConfigError(f"a bit error rate lies in [0, 1], got {ber}; give a rate such as 1e-6")
    count = int(rng.binomial(population.size, ber))
    return rng.choice(population.size, count, replace=False, shuffle=False)


def _place(population: Population, index: int) -> tuple[TensorBits, int, int]:
    places = population.locate(index)
    return population.tensors[int(places.tensors[0])], int(places.elements[0]), int(places.bits[0])
