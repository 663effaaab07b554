"""A user's own float ONNX classifier as a graph and its deployed weights, so that it can be faulted like our own.

Every operator is translated or refused by name; what was translated is compared with ONNX Runtime on random images.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hwnas.deployed import Folded, Program
from hwnas.device.model import parse
from hwnas.errors import GraphError, UnsupportedOperatorError
from hwnas.graph import BatchNorm, Conv, Graph, Node
from hwnas.onnxfiles import Translated, compare, cut_at_logits, translate

Array = NDArray[np.float32]


def from_onnx(model: bytes) -> tuple[Graph, Folded]:
    """The graph and weights of a float32 or float16 classifier of images (n, C, H, W), its one input.

    Raises UnsupportedOperatorError naming the operators that cannot be taken and the weights before them, or the weights that do
    not lie in memory as the graph would have them; and ModelError for what no engine should take.
    """
    proto = cut_at_logits(parse(model))
    translated = translate(proto)
    _refuse_other_memory(translated)
    graph, weights = _without_batch_norms(translated)
    folded = Folded(weights=weights, scale=translated.scale, offset=translated.offset)
    try:
        program = Program(graph, folded)
    except GraphError as error:  # an operation that torch does not compute in this form
        raise UnsupportedOperatorError(f"the file cannot be computed here: {error}") from error
    compare(proto.SerializeToString(), program)
    return graph, folded


def _refuse_other_memory(translated: Translated) -> None:
    """Raise UnsupportedOperatorError where words of the graph are not, each once, words of the file."""
    if translated.implied:
        missing = ", ".join(sorted(translated.implied))
        raise UnsupportedOperatorError(f"normalisations without scale or offset are not taken, the file leaves out {missing}")
    if translated.repeated:  # in memory once, or not at all
        several = ", ".join(sorted(translated.repeated))
        raise UnsupportedOperatorError(
            f"arithmetic with constants is not taken that the file does not hold once for each channel, as {several}"
        )
    folded = {f"{node.id}.weight" for node in translated.graph if isinstance(node.op, BatchNorm)}  # computed, not the file's
    weights = [source for name, source in translated.sources.items() if name.endswith(".weight") and name not in folded]
    shared = sorted({source for source in weights if weights.count(source) > 1})
    if shared:  # in memory once: a fault in them hits every layer
        raise UnsupportedOperatorError(f"layers that share their weights are not taken, they share {', '.join(shared)}")


def _without_batch_norms(translated: Translated) -> tuple[Graph, Mapping[str, Array]]:
    """The graph with each batch norm as a depthwise 1x1 convolution of its scale and offset, which is what a device keeps."""
    weights, nodes = dict(translated.tensors), []
    for node in translated.graph:
        if isinstance(node.op, BatchNorm):
            factor, offset = _scale_and_offset(weights, node.id, node.op.eps)
            op = Conv(out_channels=len(factor), kernel=1, padding=0, groups=len(factor), bias=True)
            nodes.append(Node(node.id, op, node.inputs))
            weights |= {f"{node.id}.weight": factor[:, None, None, None], f"{node.id}.bias": offset}
        else:
            nodes.append(node)
    graph = replace(translated.graph, nodes=tuple(nodes))
    return graph, {name: weights[name] for name in graph.tensors()}


def _scale_and_offset(weights: Mapping[str, Array], node: int, eps: float) -> tuple[Array, Array]:
    scale, offset, mean, var = (
        weights[f"{node}.{name}"].astype(np.float64) for name in ("weight", "bias", "running_mean", "running_var")
    )
    with np.errstate(all="ignore"):
        factor = scale / np.sqrt(var + float(np.float32(eps)))  # the file's own
    return factor.astype(np.float32), (offset - mean * factor).astype(np.float32)
