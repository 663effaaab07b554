"""A classifier in an ONNX file as a graph and its state."""

from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch

from hwnas.device import load_profile, read_model, session
from hwnas.device.agent import ORT_ERRORS
from hwnas.device.model import parse
from hwnas.errors import ModelError
from hwnas.graph import Graph
from hwnas.network import Network, State
from hwnas.onnxfiles import Translated, cut_at_logits, translate

Normalisation: TypeAlias = tuple[tuple[float, ...], tuple[float, ...]]
TOLERANCE = 1e-4  # of max(1, largest logit)


def import_onnx(path: Path, *, channels: int, height: int, width: int) -> tuple[Graph, State, Normalisation | None]:
    """The graph, the state and (where the file normalises its images itself) mean and standard deviation of each channel.

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
    normalisation = _normalisation(translated)
    _refuse_other_answers(proto.SerializeToString(), graph, state, normalisation, path)
    return graph, state, normalisation


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


def _refuse_other_answers(model: bytes, graph: Graph, state: State, normalisation: Normalisation | None, path: Path) -> None:
    """Raise ModelError unless the network gives the file's logits, as ONNX Runtime computes them."""
    opened = session(model, load_profile("local-cpu"))
    put = opened.get_inputs()[0]
    batch = put.shape[0] if isinstance(put.shape[0], int) else 2
    dtype = np.float16 if "float16" in put.type else np.float32
    images = np.random.default_rng(0).random((batch, *graph.shapes[graph.input.id]), dtype=np.float32).astype(dtype)
    try:
        expected = torch.from_numpy(opened.run(None, {put.name: images})[0].astype(np.float32))
    except ORT_ERRORS as error:
        raise ModelError(f"ONNX Runtime cannot run {path}: {str(error).splitlines()[0]}") from error
    pixels = torch.from_numpy(images.astype(np.float32))
    if normalisation is not None:
        mean, std = (torch.tensor(each, dtype=torch.float32)[:, None, None] for each in normalisation)
        pixels = (pixels - mean) / std
    with torch.no_grad():
        got = Network(graph, state).eval()(pixels)
    allowed = (TOLERANCE if dtype is np.float32 else 100 * TOLERANCE) * max(1.0, float(expected.abs().max()))
    if expected.shape != got.shape or not float((expected - got).abs().max()) <= allowed:
        raise ModelError(f"the network that was read from {path} does not compute what the file does; please report it")
