"""Bit errors in activations: every bit of every stored tensor of every image flips with a probability, on its own."""

from collections.abc import Mapping
from typing import TypeAlias

import numpy as np

from hwnas.resilience import Population
from hwnas.resilience.formats import Words
from hwnas.resilience.intervals import Indices

Masks: TypeAlias = Mapping[int, Words]
"""For some stored tensors, by number: the bits to flip in each word, (images, elements)."""


def activation_masks(population: Population, images: int, ber: float, rng: np.random.Generator) -> tuple[Masks, int]:
    """The masks of one trial at bit error rate ``ber`` in (0, 1] for a number of images, and how many bits flip in all."""
    masks: dict[int, Words] = {}
    flips = 0
    for number, tensor in enumerate(population.tensors):
        words = images * tensor.size
        hit = _hits(words * tensor.format.bits, ber, rng)
        if not len(hit):
            continue
        flips += len(hit)
        elements, bits = np.divmod(hit, tensor.format.bits)
        mask = np.zeros(words, tensor.format.word)
        np.bitwise_or.at(mask, elements, np.left_shift(np.uint64(1), bits.astype(np.uint64)).astype(tensor.format.word))
        masks[number] = mask.reshape(images, tensor.size)
    return masks, flips


def _hits(bits: int, ber: float, rng: np.random.Generator) -> Indices:
    """Which of ``bits`` flip, ascending: the gaps between independent errors are geometric, so none but the hits are drawn."""
    found = [np.zeros(0, np.int64)]
    last = -1
    while last < bits:
        expected = (bits - last) * ber
        gaps = rng.geometric(ber, int(expected + 6 * expected**0.5) + 8)
        found.append(last + np.cumsum(gaps))
        last = int(found[-1][-1])
    hits = np.concatenate(found)
    return hits[hits < bits]
