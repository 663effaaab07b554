"""What faults make a network answer: naively, by a full pass for each, and fast, recomputing only what a fault can reach.

An engine holds a micro-batch of images, so faults are the inner loop. The fast engine for weights (our definition):
1. A fault in few words of one tensor: its output channels change by (new - old weight) x input, nothing else is computed.
2. Dirty channels go on: element-wise operations, pools and depthwise convolutions compute those channels alone, a dense
   convolution or linear layer adds its response to the channels' difference; past half of the channels it computes in full.
3. Where nothing differs any more, the clean answer stands.
4. Sums in another order round otherwise. Where an image's two largest logits are nearer than such errors can be, where a
   value is not finite or nearly so, and in formats too coarse for margins, the fault is computed again from its layer on with
   the very operations of a full pass. So the classes are those of the naive engine (tests/injection/test_engine.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hwnas.deployed.memory import Change
from hwnas.deployed.program import Program, Weights
from hwnas.injection.bit_errors import Masks
from hwnas.injection.clean_pass import CleanPass, largest
from hwnas.injection.dirty import Dirty, disturbed_channels, joined, propagate
from hwnas.injection.predictions import Predictions, classes_of, masked_rows
from hwnas.resilience.formats import Values, Words

MARGINS = {"float32": 3e-5, "float16": 4e-3}  # of the largest logit; measured differences are 30 times smaller
FEW_WORDS = 8
LIMITS = {"float32": 1e38, "float16": 6e4}  # beyond them a sum in another order may be infinite where this one is not


@dataclass(frozen=True, slots=True, kw_only=True)
class Upset:
    """A disturbed activation: flat element of one image's stored tensor, and the bits that flip as a word."""

    image: int
    element: int
    mask: int


class NaiveSimulator:
    """A full pass for every fault: the truth that the fast engine is tested against, and the yardstick of its speed."""

    def __init__(self, program: Program, images: Tensor) -> None:
        self._program, self._images = program, images
        with torch.inference_mode():
            self.clean = CleanPass(program, images)
        self.classes = self.clean.classes

    def weights(self, changes: Sequence[Change]) -> Predictions:
        """The answers with these words in memory."""
        with torch.inference_mode():
            logits = self._program.run(self._images, self._program.with_changes(changes)).numpy()
        return _answers(logits, self.clean)

    def activations(self, step: int, upsets: Sequence[Upset]) -> Predictions:
        """The answers with these bits of one stored tensor flipped."""
        with torch.inference_mode():
            logits = self._program.run(
                self._images, disturb=lambda number, value: upset(self._program, step, value, upsets) if number == step else value
            ).numpy()
        return _answers(logits, self.clean)


class FastSimulator:
    """The same answers, several times faster. ``exact`` counts the faults that had to be computed exactly, of ``tried``."""

    def __init__(self, program: Program, images: Tensor) -> None:
        self._program, self._images = program, images
        self._margin = MARGINS.get(program.layout.name)
        self.tried = self.exact = 0
        with torch.inference_mode():
            self.clean = CleanPass(program, images)
        self.classes = self.clean.classes

    def weights(self, changes: Sequence[Change]) -> Predictions:
        """The answers with these words in memory."""
        self.tried += 1
        with torch.inference_mode():
            if len(changes) == 1 and len(changes[0].elements) <= FEW_WORDS and self._margin is not None:
                logits = self._by_difference(changes[0])
                if logits is not None:
                    return _answers(logits, self.clean)
            self.exact += 1
            hit = {self._program.owner[change.tensor] for change in changes}
            return _answers(self._suffix({}, hit, self._program.with_changes(changes)), self.clean)

    def stored(self, step: int) -> Values:
        """The words of a stored tensor in the clean pass, (n, elements)."""
        value = self.clean.values[step].flatten(1)
        return self._program.encoded(self._program.steps[step].name, value.numpy())

    def activations(self, step: int, upsets: Sequence[Upset]) -> Predictions:
        """The answers with these bits of one stored tensor flipped: the steps behind it are recomputed."""
        self.tried += 1
        with torch.inference_mode():
            values = {step: upset(self._program, step, self.clean.values[step], upsets)}
            return _answers(self._suffix(values, set(), self._program.weights), self.clean)

    def disturbed(self, masks: Masks) -> Predictions:
        """The answers with bits flipped in many stored tensors, by a full pass."""
        with torch.inference_mode():
            logits = self._program.run(
                self._images,
                disturb=lambda number, value: _xored(self._program, number, value, masks[number]) if number in masks else value,
            ).numpy()
        return _answers(logits, self.clean)

    def _suffix(self, values: dict[int, Tensor], hit: set[int], weights: Weights) -> NDArray[np.float32]:
        """Logits where ``values`` replace stored tensors and steps ``hit`` have other weights, as a full pass computes them."""
        clean = self.clean.values
        for number, step in enumerate(self._program.steps):
            if number in values or not (number in hit or any(source in values for source in step.reads)):
                continue
            inputs = [values.get(source, clean[source]) for source in step.reads]
            value = self._program.finish(step, self._program.accumulate(step, inputs, weights), spent=True)
            if not torch.equal(value, clean[number]):
                values[number] = value
        return values.get(len(clean) - 1, clean[-1]).flatten(1).numpy()

    def _by_difference(self, change: Change) -> NDArray[np.float32] | None:
        """Logits by propagating differences; None where rounding could decide an image's class."""
        program, clean = self._program, self.clean
        first = program.owner[change.tensor]
        dirty: dict[int, Dirty] = {}
        peaks: dict[int, float] = {}
        growth = 1.0
        for number in range(first, len(program.steps)):
            step = program.steps[number]
            if number == first:
                sums = disturbed_channels(program, clean, first, change)
            elif any(source in dirty for source in step.reads):
                if program.gains[number] * max(peaks.get(source, 0.0) for source in step.reads) > LIMITS["float32"]:
                    return None
                sums = propagate(program, clean, number, dirty)
            else:
                continue
            found = Dirty(channels=sums.channels, values=program.finish(step, sums.values, spent=True))
            if torch.equal(found.values, found.clean(clean.values[number])):
                continue
            peaks[number] = largest(found.values)
            if not peaks[number] < LIMITS[program.layout.name]:
                return None
            growth = max(growth, peaks[number] / max(clean.largest[number], 1e-30))
            dirty[number] = found
        last = len(program.steps) - 1
        if last not in dirty:
            return clean.logits
        logits = joined(dirty[last], clean.values[last]).flatten(1).numpy()
        assert self._margin is not None
        bound = self._margin * max(float(np.abs(logits).max()), growth * clean.largest[last])
        return logits if _smallest_gap(logits) > bound else None


def upset(program: Program, step: int, values: Tensor, upsets: Sequence[Upset]) -> Tensor:
    """A step's stored tensor (n, ..) with bits flipped, out of place."""
    masks = np.zeros((len(values), values[0].numel()), program.layout.word)
    hit = [u.image for u in upsets], [u.element for u in upsets]
    np.bitwise_xor.at(masks, hit, np.array([u.mask for u in upsets], program.layout.word))
    return _xored(program, step, values, masks)


def _xored(program: Program, step: int, values: Tensor, masks: Words) -> Tensor:
    """A step's stored tensor (n, ..) with the bits of ``masks`` (n, elements) flipped, out of place."""
    name, hit = program.steps[step].name, np.flatnonzero(masks)
    flipped = values.numpy().reshape(-1).copy()  # the others are as the format holds them already
    stored = program.encoded(name, flipped[hit])
    flipped[hit] = program.decoded(name, program.layout.flip(stored, masks.reshape(-1)[hit]))
    return torch.from_numpy(flipped.reshape(tuple(values.shape)))


def _answers(logits: NDArray[np.float32], clean: CleanPass) -> Predictions:
    return Predictions(classes=classes_of(logits), masked=masked_rows(logits, clean.logits))


def _smallest_gap(logits: NDArray[np.float32]) -> float:
    """The smallest distance between an image's two largest logits."""
    if logits.shape[1] < 2:
        return float("inf")
    top = np.partition(logits, -2, axis=1)
    return float((top[:, -1] - top[:, -2]).min())
