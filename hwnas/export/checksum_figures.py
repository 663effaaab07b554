"""What checksums of a file find: flips of its weights that change answers, and alarms where nothing flipped."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from hwnas.device import load_profile, session
from hwnas.device.model import CHECKSUMS, parse
from hwnas.export.checksums import alarms, layers_of
from hwnas.export.emit import IMAGE, LOGITS

FLIPS = 400  # half of them of TOP, which does nearly all the harm of float32; counted by how often a bit is drawn
TOP, BITS = 30, 32
BATCH = 256
SEED = 0
Array = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Detection:
    """Of ``flips`` flipped bits of weights and biases ``harmful`` changed an answer, ``detected`` of those raised an alarm.

    ``share``: the share of harmful flips that are detected where every bit is as likely to flip; ``effective`` is how many
    flips, all alike, would say as much. ``answers``: the same share of changed answers, each with an alarm for its own image.
    None: no flip changed an answer.
    """

    flips: int
    harmful: int
    detected: int
    share: float | None
    answers: float | None
    effective: float


def mismatches(model: bytes, images: Array) -> Array:
    """The mismatch of each layer, (n, layers), of a file with checksums for images (n, C, H, W)."""
    opened = session(model, load_profile("local-cpu"))
    batches = np.split(images, range(BATCH, len(images), BATCH))
    return np.concatenate([opened.run([CHECKSUMS], {IMAGE: batch})[0] for batch in batches])


def detection(model: bytes, images: Array, *, flips: int = FLIPS, seed: int = SEED) -> Detection:
    """Flip bits of the weights and biases of a file with checksums, one at a time, before images (n, C, H, W)."""
    proto = parse(model)
    names = {name for layer in layers_of(proto.graph) for name in layer.node.input[1:]}
    arrays = {tensor.name: numpy_helper.to_array(tensor) for tensor in proto.graph.initializer if tensor.name in names}
    opened = session(_with_inputs(proto, arrays), load_profile("local-cpu"))
    clean, _ = opened.run([LOGITS, CHECKSUMS], {IMAGE: images})
    harm, seen, weights, changed_answers, seen_answers = [], [], [], [], []
    for name, element, bit, weight in _drawn(arrays, flips, np.random.default_rng(seed)):
        with np.errstate(over="ignore", invalid="ignore"):
            logits, mismatch = opened.run([LOGITS, CHECKSUMS], {IMAGE: images, name: _flipped(arrays[name], element, bit)})
        changed = (logits.argmax(1) != clean.argmax(1)) | ~np.isfinite(logits).all(1)
        alarm = alarms(mismatch)
        harm.append(changed.any())
        seen.append(alarm.any())
        weights.append(weight)
        changed_answers.append(int(changed.sum()))
        seen_answers.append(int((changed & alarm).sum()))
    mine, found = np.array(weights) * harm, np.array(harm) & np.array(seen)
    total, answers = float(mine.sum()), float(np.dot(weights, changed_answers))
    return Detection(
        flips=len(weights),
        harmful=int(np.sum(harm)),
        detected=int(found.sum()),
        share=float(mine @ found) / total if total else None,
        answers=float(np.dot(weights, seen_answers)) / answers if answers else None,
        effective=total**2 / float((mine**2).sum()) if total else 0.0,
    )


def _drawn(arrays: dict[str, Array], flips: int, rng: np.random.Generator) -> Iterator[tuple[str, int, int, float]]:
    """Names, elements and bits drawn uniformly over words, with the share of all bits that each stands for."""
    names, sizes = list(arrays), np.array([array.size for array in arrays.values()])
    ends = np.cumsum(sizes)
    for number in range(flips):
        word = int(rng.integers(ends[-1]))
        place = int(np.searchsorted(ends, word, side="right"))
        is_top = number % 2 == 0
        other = int(rng.integers(BITS - 1))
        bit = TOP if is_top else other + (other >= TOP)
        yield names[place], word - int(ends[place] - sizes[place]), bit, 1.0 / BITS if is_top else (BITS - 1.0) / BITS


def _flipped(array: Array, element: int, bit: int) -> Array:
    changed = array.copy()
    changed.reshape(-1).view(np.uint32)[element] ^= np.uint32(1 << bit)
    return changed


def _with_inputs(proto: onnx.ModelProto, arrays: dict[str, Array]) -> bytes:
    """The model with these constants as inputs that may be given, and else are what they are."""
    changed = onnx.ModelProto()
    changed.CopyFrom(proto)
    changed.graph.input.extend(
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, array.shape) for name, array in arrays.items()
    )
    serialised: bytes = changed.SerializeToString()
    return serialised
