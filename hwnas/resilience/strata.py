"""The population cut into strata, so that the few bits that do the damage are sampled on purpose."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hwnas.resilience.intervals import Indices
from hwnas.resilience.population import Population


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """Bits `low` to `low + width - 1` of every word of a tensor whose first bit has index `offset`."""

    offset: int
    words: int
    word_bits: int
    low: int
    width: int

    @property
    def size(self) -> int:
        """Number of bits in the piece."""
        return self.words * self.width


@dataclass(frozen=True, slots=True, kw_only=True)
class Stratum:
    """A part of the population from which bits are drawn uniformly; `group` and `layer` name it in tables."""

    layer: str
    group: str
    pieces: tuple[Piece, ...]

    @property
    def size(self) -> int:
        """Number of bits in the stratum."""
        return sum(piece.size for piece in self.pieces)

    def bits(self, ranks: ArrayLike) -> Indices:
        """Population bit index of each rank (k,), a rank counting the stratum's bits from 0."""
        ranks = np.asarray(ranks, np.int64)
        starts = np.cumsum([0] + [piece.size for piece in self.pieces])
        piece = np.searchsorted(starts, ranks, side="right") - 1
        offset, word_bits, low, width = self._columns()[:, piece]
        word, bit = np.divmod(ranks - starts[piece], width)
        return np.asarray(offset + word * word_bits + low + bit, np.int64)

    def _columns(self) -> NDArray[np.int64]:
        return np.array([[piece.offset, piece.word_bits, piece.low, piece.width] for piece in self.pieces], np.int64).T


def stratify(population: Population) -> tuple[Stratum, ...]:
    """One stratum per layer, format and bit group, in the order of first appearance; together they hold every bit once."""
    pieces: dict[tuple[str, str], list[Piece]] = {}
    for tensor, offset in zip(population.tensors, population.offsets, strict=False):  # the last offset is the total
        for group in tensor.format.groups:
            piece = Piece(offset=int(offset), words=tensor.size, word_bits=tensor.format.bits, low=group.low, width=group.width)
            pieces.setdefault((tensor.layer, f"{tensor.format.name} {group.name}"), []).append(piece)
    return tuple(Stratum(layer=layer, group=group, pieces=tuple(parts)) for (layer, group), parts in pieces.items())


def unstratified(population: Population) -> tuple[Stratum, ...]:
    """The whole population as one stratum: plain uniform sampling over bits."""
    pieces = (
        Piece(offset=int(offset), words=tensor.size, word_bits=tensor.format.bits, low=0, width=tensor.format.bits)
        for tensor, offset in zip(population.tensors, population.offsets, strict=False)
    )
    return (Stratum(layer="all", group="all", pieces=tuple(pieces)),)
