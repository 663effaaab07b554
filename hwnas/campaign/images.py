"""The images of a campaign, a few at a time, each few with an engine of their own."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from hwnas.campaign.settings import FaultSettings
from hwnas.injection.target import FaultSimulator, FaultTarget, Images

CHUNKS = 16  # micro-batches that faults take turns on, so that no 25 images decide
CURVE_IMAGES, TRIAL_IMAGES = 200, 50  # of a curve, and of a trial: its images agree, four times as many tell hardly more
KEPT_BYTES = 2**28  # of clean passes for single faults, taken as float32, a sum and a value for each element
_STREAM_IMAGES = 2


@dataclass(frozen=True, kw_only=True)  # not slotted: the hash is computed once for all networks of a study
class Examples:
    """Labelled images: float32 (n, C, H, W) in [0, 1] and int64 (n,)."""

    images: Images
    labels: NDArray[np.int64]

    @cached_property
    def sha256(self) -> str:
        """Hash of shape, pixels and labels."""
        digest = hashlib.sha256(str(self.images.shape).encode())
        digest.update(np.ascontiguousarray(self.images).data)
        digest.update(np.ascontiguousarray(self.labels, "<i8").data)
        return digest.hexdigest()


class MicroBatches:
    """A campaign's images in an order of its seed; ``check`` is called before every clean pass.

    Single faults take turns on CHUNKS micro-batches, the trials of a curve on parts of its CURVE_IMAGES. Clean passes over these
    are kept: of a curve all, since each trial meets the next part; of single faults the first made, as far as KEPT_BYTES go: of
    those that take turns the last made would never serve again.
    """

    def __init__(self, bench: FaultTarget, examples: Examples, settings: FaultSettings, check: Callable[[], None]) -> None:
        order = np.random.default_rng([settings.seed, _STREAM_IMAGES]).permutation(len(examples.labels))
        self._bench, self._check, self._images, self._order = bench, check, examples.images, order
        self._labels = examples.labels[order]
        images = len(order)
        if settings.fault == "ber":
            self._room = CURVE_IMAGES
            parts = max(1, min(CURVE_IMAGES, images) // TRIAL_IMAGES)
            ends = np.linspace(0, min(CURVE_IMAGES, images), parts + 1).astype(int).tolist()
        else:
            self._room = KEPT_BYTES // (8 * sum(tensor.size for tensor in bench.activations.tensors))
            size = min(settings.images, images)
            ends = [number * size for number in range(min(CHUNKS, images // size) + 1)]
        self._parts = [range(start, stop) for start, stop in pairwise(ends)]
        self._engines: dict[range, FaultSimulator] = {}

    def meet(self, number: int) -> tuple[FaultSimulator, NDArray[np.int64]]:
        """The engine and the labels of the images that the batch of faults, or the trial, of this number meets."""
        return self._before(self._parts[number % len(self._parts)])

    def clean_error(self, images: int | None = None) -> float:
        """Share of the first ``images``, or of all, that the network gets wrong without a fault."""
        images = len(self._labels) if images is None else min(images, len(self._labels))
        parts = [part for part in self._parts if part.stop <= images]
        size, done = len(self._parts[0]), parts[-1].stop if parts else 0
        parts += [range(start, min(start + size, images)) for start in range(done, images, size)]
        wrong = 0
        for part in parts:
            self._check()
            engine, labels = self._before(part)
            wrong += int((engine.classes != labels).sum())
        return wrong / images

    def _before(self, part: range) -> tuple[FaultSimulator, NDArray[np.int64]]:
        labels = self._labels[part.start : part.stop]
        if part in self._engines:
            return self._engines[part], labels
        engine = self._bench.engine(self._images[self._order[part.start : part.stop]])
        if part in self._parts:
            while self._engines and sum(map(len, self._engines)) + len(part) > self._room:
                self._engines.popitem()
            self._engines[part] = engine
        return engine, labels
