"""How numbers lie in memory: bit layouts, bit groups, and what a disturbed bit makes of a word.

A bit is counted from the least significant one, 0. Groups follow the damage a flip does: the sign, the top exponent
bit (which alone carries nearly all of float32's damage), the other large exponent bits, the small ones, the mantissa;
for integers the sign and then bits of falling weight.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hwnas.errors import ConfigError

Words = NDArray[np.unsignedinteger[Any]]
Values = NDArray[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class BitGroup:
    """Adjacent bits `low` to `high`, both included, that do damage of one order."""

    name: str
    low: int
    high: int

    def __post_init__(self) -> None:
        if not 0 <= self.low <= self.high:
            raise ConfigError(
                f"bit group {self.name!r} needs 0 <= low <= high, got {self.low} and {self.high}; swap or correct them"
            )

    @property
    def width(self) -> int:
        """How many bits the group has."""
        return self.high - self.low + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """A number format: the stored type, the unsigned word of the same width, and bit groups that cover every bit once."""

    name: str
    storage: np.dtype[Any]
    word: np.dtype[Any]
    groups: tuple[BitGroup, ...]

    def __post_init__(self) -> None:
        covered = sorted(bit for group in self.groups for bit in range(group.low, group.high + 1))
        if covered != list(range(self.bits)) or self.word.itemsize != self.storage.itemsize:
            raise ConfigError(
                f"the groups of format {self.name!r} must cover bits 0 to {self.bits - 1} once each, got "
                f"{covered}; correct the groups"
            )

    @property
    def bits(self) -> int:
        """Width of a word in bits."""
        return 8 * self.word.itemsize

    def words(self, values: Values) -> Words:
        """The same memory as unsigned integers: writing to the result writes to `values`.

        Raises ConfigError for an array of another format.
        """
        if values.dtype != self.storage:
            raise ConfigError(
                f"a {self.name} tensor is stored as {self.storage}, got an array of "
                f"{values.dtype}; convert it to {self.name} first"
            )
        return values.view(self.word)

    def mask(self, *bits: int) -> int:
        """The integer with exactly these bits set. Raises ConfigError for a bit outside the word."""
        if any(not 0 <= bit < self.bits for bit in bits):
            raise ConfigError(f"{self.name} has bits 0 to {self.bits - 1}, got {bits}; choose bits inside the word")
        return sum(1 << bit for bit in set(bits))

    def flip(self, values: Values, masks: ArrayLike) -> Values:
        """`values` with the bits of `masks` (same shape, or one for all) inverted, out of place; its own inverse."""
        flipped: Values = self.words(values) ^ np.asarray(masks, self.word)
        return flipped.view(self.storage)

    def force(self, values: Values, masks: ArrayLike, *, level: int) -> Values:
        """`values` with the bits of `masks` set to `level`, 0 or 1, out of place."""
        words, chosen = self.words(values), np.asarray(masks, self.word)
        forced: Values = words | chosen if level else words & ~chosen
        return forced.view(self.storage)

    def encode(self, numbers: ArrayLike) -> Values:
        """Numbers stored in this format: rounded to nearest even, integers rounded and clipped to the range.

        log8 takes shares of full scale and rounds their logarithm; half a code below the smallest value and less is zero.
        """
        if self.name == "log8":
            return _to_log8(np.asarray(numbers, np.float32))
        if self.name == "bfloat16":
            return _to_bfloat16(np.asarray(numbers, np.float32))
        if self.storage.kind == "i":
            limits = np.iinfo(self.storage)
            return np.clip(np.rint(np.asarray(numbers, np.float64)), limits.min, limits.max).astype(self.storage)
        with np.errstate(over="ignore"):  # beyond float16's range is infinity, as on the device
            return np.asarray(numbers).astype(self.storage)

    def decode(self, values: Values) -> Values:
        """Stored values as numbers: floats as float32, integers as they are, log8 as float32 shares of full scale."""
        if self.name == "log8":
            return _LOG8_VALUES[values]
        if self.name == "bfloat16":
            return (self.words(values).astype(np.uint32) << np.uint32(16)).view(np.float32)
        return values if self.storage.kind == "i" else values.astype(np.float32)


def _to_bfloat16(numbers: NDArray[np.float32]) -> Values:
    """The upper half of each float32, rounded to nearest even; NaN stays NaN (rounding could carry its payload into infinity)."""
    words = numbers.view(np.uint32)
    rounded = (words + np.uint32(0x7FFF) + ((words >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16)
    return np.where(np.isnan(numbers), np.uint32(0x7FC0), rounded).astype(np.uint16)


def _to_log8(numbers: NDArray[np.float32]) -> Values:
    """The code of the nearest logarithm beside the sign; NaN becomes full scale, as infinity does."""
    with np.errstate(divide="ignore"):  # the logarithm of 0 is below every code
        logarithms = np.log2(np.abs(numbers))
    logarithms *= LOG8_STEPS  # in place: large tensors are bound by memory
    logarithms += LOG8_FULL
    codes = np.maximum(np.fmin(np.rint(logarithms), LOG8_FULL), 0).astype(np.uint8)
    words: Values = codes | (np.signbit(numbers).astype(np.uint8) << np.uint8(7))
    return words


LOG8_STEPS, LOG8_FULL = 8, 127  # codes an octave, the code of full scale
_LOG8_VALUES = np.exp2((np.arange(LOG8_FULL + 1) - LOG8_FULL) / LOG8_STEPS).astype(np.float32)
_LOG8_VALUES[0] = 0.0
_LOG8_VALUES = np.concatenate([_LOG8_VALUES, -_LOG8_VALUES])


def _layout(name: str, storage: type, word: type, *groups: tuple[str, int, int]) -> Format:
    parts = tuple(BitGroup(name=group, low=low, high=high) for group, low, high in groups)
    return Format(name=name, storage=np.dtype(storage), word=np.dtype(word), groups=parts)


FLOAT32 = _layout(
    "float32", np.float32, np.uint32,
    ("sign", 31, 31), ("exponent top", 30, 30), ("exponent high", 27, 29), ("exponent low", 23, 26), ("mantissa", 0, 22),
)  # fmt: skip
FLOAT16 = _layout(
    "float16", np.float16, np.uint16,
    ("sign", 15, 15), ("exponent top", 14, 14), ("exponent high", 12, 13), ("exponent low", 10, 11), ("mantissa", 0, 9),
)  # fmt: skip
BFLOAT16 = _layout(
    "bfloat16", np.uint16, np.uint16,
    ("sign", 15, 15), ("exponent top", 14, 14), ("exponent high", 11, 13), ("exponent low", 7, 10), ("mantissa", 0, 6),
)  # fmt: skip
INT8 = _layout("int8", np.int8, np.uint8, ("sign", 7, 7), ("top", 6, 6), ("middle", 4, 5), ("low", 0, 3))
LOG8 = _layout("log8", np.uint8, np.uint8, ("sign", 7, 7), ("top", 6, 6), ("middle", 4, 5), ("low", 0, 3))
INT32 = _layout(
    "int32", np.int32, np.uint32, ("sign", 31, 31), ("top", 24, 30), ("high", 16, 23), ("middle", 8, 15), ("low", 0, 7)
)
FORMATS = {layout.name: layout for layout in (FLOAT32, FLOAT16, BFLOAT16, INT8, LOG8, INT32)}


def format_named(name: str) -> Format:
    """The format of that name. Raises ConfigError naming the known ones."""
    if name not in FORMATS:
        raise ConfigError(f"expected a number format among {', '.join(FORMATS)}, got {name!r}; choose one of them")
    return FORMATS[name]
