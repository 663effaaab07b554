"""A classifier in an ONNX file as a graph and its state."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from hwnas.device import load_profile, read_model, session
from hwnas.device.agent import ORT_ERRORS
from hwnas.device.model import parse
from hwnas.device.trial import try_apart
from hwnas.errors import ModelError
from hwnas.importing.taken import TOLERANCE, Answers, Normalisation, Taken, in_batches, parity, require_agreement
from hwnas.onnxfiles import Translated, cut_at_logits, translate
from hwnas.onnxfiles.image_input import image_of
from hwnas.onnxfiles.translation import FLOATS


def take_onnx(path: Path, *, channels: int, height: int, width: int) -> Taken:
    """The network in a file; its normalisation is what the file itself does to images from 0 to 1.

    Batch norms stay batch norms, so that the network can be trained on. Raises ModelError, UnsupportedOperatorError.
    """
    proto = cut_at_logits(parse(read_model(path)))
    translated = translate(proto)
    graph = translated.graph
    takes = tuple(graph.shapes[graph.input.id])
    if takes != (channels, height, width):
        raise ModelError(
            f"{path} takes images of shape {takes}, the data have {(channels, height, width)}; export it for these, or bring the "
            f"images to its size (--image-size {takes[1]}x{takes[2]})"
        )
    _refuse_shared(translated, path)
    state = {name: torch.from_numpy(np.array(array, np.float32)) for name, array in translated.tensors.items()}
    # Else it takes images from 0 to 1 as they are, as hwnas's own files do; --normalisation says otherwise.
    normalisation = _normalisation(translated) or ((0.0,) * channels, (1.0,) * channels)
    model = proto.SerializeToString()
    try_apart({str(path): model})
    answers, tolerance = _answers(model, normalisation, path)
    pixels = torch.from_numpy(np.random.default_rng(0).random((2, *takes), dtype=np.float32))
    images = pixels if normalisation is None else (pixels - _column(normalisation[0])) / _column(normalisation[1])
    found = parity(graph, state, images, answers(images))
    wrong = f"the network that was read from {path} does not compute what the file does; please report it"
    require_agreement(found, tolerance, wrong)
    names = dict(translated.sources)
    return Taken(graph=graph, state=state, names=names, answers=answers, parity=found, normalisation=normalisation)


def onnx_shape(path: Path) -> tuple[int, ...]:
    """The shape (C, H, W) of the images that a file takes. Raises ModelError."""
    graph = parse(read_model(path)).graph
    return image_of(graph, {tensor.name for tensor in graph.initializer}, FLOATS)[1]


def _refuse_shared(translated: Translated, path: Path) -> None:
    weights = [source for name, source in translated.sources.items() if name.endswith(".weight")]
    if shared := sorted({source for source in weights if weights.count(source) > 1}):
        raise ModelError(f"layers of {path} share {', '.join(shared)}; hwnas shares no weights between layers")


def _normalisation(translated: Translated) -> Normalisation | None:
    """image * scale + offset as (image - mean) / std; None where nothing is done to the image."""
    if translated.scale is None and translated.offset is None:
        return None
    channels = translated.graph.shapes[translated.graph.input.id][0]
    scale = np.ones(channels) if translated.scale is None else translated.scale.astype(np.float64)
    offset = np.zeros(channels) if translated.offset is None else translated.offset.astype(np.float64)
    return tuple((-offset / scale).tolist()), tuple((1 / scale).tolist())


def _column(values: tuple[float, ...]) -> Tensor:
    return torch.tensor(values, dtype=torch.float32)[:, None, None]


def _answers(model: bytes, normalisation: Normalisation | None, path: Path) -> tuple[Answers, float]:
    """The file's logits for normalised images, as ONNX Runtime computes them, and how far from them a network may be."""
    opened = session(model, load_profile("local-cpu"))
    put = opened.get_inputs()[0]
    dtype = np.float16 if "float16" in put.type else np.float32

    def run(pixels: Tensor) -> Tensor:
        try:
            return torch.from_numpy(opened.run(None, {put.name: pixels.numpy().astype(dtype)})[0].astype(np.float32))
        except ORT_ERRORS as error:
            raise ModelError(f"ONNX Runtime cannot run {path}: {str(error).splitlines()[0]}") from error

    def answers(images: Tensor) -> Tensor:
        pixels = images if normalisation is None else images * _column(normalisation[1]) + _column(normalisation[0])
        return in_batches(run, pixels, put.shape[0] if isinstance(put.shape[0], int) else None)

    return answers, TOLERANCE if dtype is np.float32 else 100 * TOLERANCE
