"""Whether a file computes what the network computes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hwnas.device import HardwareProfile, session
from hwnas.device.agent import ORT, ORT_ERRORS
from hwnas.errors import ExportError, ModelError
from hwnas.export.emit import IMAGE, LOGITS
from hwnas.export.precision import Precision
from hwnas.graph import Graph
from hwnas.network import Network

Array: TypeAlias = NDArray[np.float32]
Predict: TypeAlias = Callable[[bytes, Array], Array]

BATCH = 256
# The largest logit difference allowed, relative to max(1, largest logit). A float32 file is compared with torch; the others with
# what they themselves computed when they were exported, which another machine may round otherwise (our choice).
TOLERANCES: Mapping[Precision, float] = {"float32": 1e-4, "float16": 1e-2, "int8": 5e-2}


def runtime(profile: HardwareProfile) -> Predict:
    """A function from ONNX bytes and images (n, C, H, W) to logits (n, classes), by ONNX Runtime here, as the profile says.

    ``Device.predict`` is another such function, that computes on the device.
    """

    def predict(model: bytes, images: Array) -> Array:
        opened = session(model, profile)
        wanted = next((tuple(put.shape[1:]) for put in opened.get_inputs() if put.name == IMAGE), None)
        if wanted is None:
            raise ModelError(f"expected a model with the input {IMAGE!r}, as hwnas exports it")
        if images.shape[1:] != wanted or not len(images):
            raise ModelError(f"the model takes images (n, {', '.join(map(str, wanted))}), got {images.shape}; resize the images")
        batches = np.split(images, range(BATCH, len(images), BATCH))
        try:
            return np.concatenate([opened.run([LOGITS], {IMAGE: batch})[0] for batch in batches])
        except ORT_ERRORS as error:
            raise ModelError(f"{ORT} cannot run this model as hwnas exports it, from {IMAGE!r} to {LOGITS!r}: {error}") from error

    return predict


def reference_logits(
    graph: Graph,
    state: Mapping[str, Tensor],
    images: Array,
    *,
    mean: tuple[float, ...] | None = None,
    std: tuple[float, ...] | None = None,
) -> Array:
    """Logits (n, classes) by torch for images (n, C, H, W) in [0, 1], normalised before."""
    channels = images.shape[1]
    centre = torch.tensor(mean or (0.0,) * channels)[:, None, None]
    spread = torch.tensor(std or (1.0,) * channels)[:, None, None]
    network = Network(graph, state).eval()
    with torch.inference_mode():
        return np.asarray(network((torch.tensor(images) - centre) / spread).numpy())


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """How two sets of logits (n, classes) differ.

    ``difference`` is the largest one over max(1, largest expected logit), infinite where logits are not finite; ``top1`` the
    share of images with the same class, in [0, 1].
    """

    difference: float
    top1: float


def compare(got: Array, expected: Array) -> Agreement:
    """The agreement of logits (n, classes) with those expected. Raises ExportError where the shapes differ."""
    if got.shape != expected.shape:
        raise ExportError(f"expected logits of shape {expected.shape}, got {got.shape}; is this the model's data?")
    difference = float(np.abs(got - expected).max() / max(1.0, float(np.abs(expected).max())))
    top1 = float((got.argmax(1) == expected.argmax(1)).mean())
    return Agreement(difference=difference if np.isfinite(difference) else float("inf"), top1=top1)


def classification_error(logits: Array, labels: NDArray[np.int64]) -> float:
    """The share of images (n,) whose largest logit (n, classes) is not their label's, in [0, 1]; NaN logits count as wrong."""
    wrong = (logits.argmax(1) != labels) | ~np.isfinite(logits).all(1)
    return float(wrong.mean())
