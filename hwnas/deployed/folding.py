"""What a deployed network computes: batch norms, mixes and the normalisation folded into the layers around them.

1. A batch norm that fuses into a convolution (``hwnas.graph.stored_tensors``) scales its filters and becomes its bias; one that
   stands alone becomes a depthwise 1x1 convolution, which ONNX Runtime fuses with a ReLU and quantises, unlike its own operator.
2. A weighted add becomes a sum with fixed factors. A factor goes into the convolution that computes the input, where that add is
   its only reader and what lies between is nothing or an activation that lets a factor >= 0 pass (``Op.scales_through``).
3. Where only convolutions read the image, 1 / std goes into their filters. The mean goes into their biases if none of them
   pads; else it must be subtracted before: the padded zeros stand for normalised zeros, that is for the mean, and a bias
   that is the same for every pixel cannot tell the border from the rest.
4. Every other operation stays as it is, with its own tensors.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from hwnas.errors import ExportError
from hwnas.graph import BatchNorm, Conv, Graph, Node, Op, ScaledAdd, StoredTensor, WeightedAdd, stored_tensors

Array = NDArray[np.float32]
Exact = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Folded:
    """What is left to compute: operations, their float32 weights, and what could not be folded into them.

    ``weights`` maps ``"<producer>.<tensor>"`` to arrays, in the shapes that the operations own; ``ops`` holds, by node, the
    operations that are not the graph's own: a convolution that got a bias, what a lone batch norm or a weighted add became.
    ``scale`` and ``offset``, (C,) each, are still to be applied to the image: image * scale + offset (None: nothing to do).
    Arrays may share memory with the state.
    """

    weights: Mapping[str, Array]
    ops: Mapping[int, Op] = field(default_factory=lambda: MappingProxyType({}))
    scale: Array | None = None
    offset: Array | None = None

    def op(self, node: Node) -> Op:
        """What a node computes once it is deployed."""
        return self.ops.get(node.id, node.op)


@dataclass(frozen=True, slots=True)
class _Normalisation:
    """(image - mean) / std, (C,) each, and which part of it the first convolutions take over."""

    mean: Exact
    std: Exact
    folds_std: bool
    folds_mean: bool


def fold(
    graph: Graph, state: Mapping[str, Tensor], *, mean: tuple[float, ...] | None = None, std: tuple[float, ...] | None = None
) -> Folded:
    """Fold a network's state; ``mean`` and ``std`` (one value a channel) are the normalisation of images in [0, 1].

    Raises ExportError where tensors are missing, are not finite, or the normalisation does not fit the image.
    """
    arrays = _arrays(graph, state)
    stored = stored_tensors(graph)
    normalisation = _normalisation(graph, mean, std)
    sums, mixes = _mixes(graph, {tensor.node: tensor for tensor in stored}, arrays)
    weights: dict[str, Array] = {}
    ops: dict[int, Op] = dict(sums)
    for tensor in stored:
        producer = graph[tensor.producer]
        op, own = _layer(graph, tensor, arrays, mixes.get(tensor.node, 1.0), normalisation)
        weights |= {f"{producer.id}.{name}": array for name, array in own.items()}
        if op is not producer.op and producer.id not in sums:
            ops[producer.id] = op
    if normalisation is None:
        return Folded(weights=weights, ops=ops)
    rest = None if normalisation.folds_std else (1.0 / normalisation.std).astype(np.float32)
    shift = normalisation.mean if normalisation.folds_std else normalisation.mean / normalisation.std
    offset = None if normalisation.folds_mean else (-shift).astype(np.float32)
    return Folded(weights=weights, ops=ops, scale=rest, offset=offset)


def _arrays(graph: Graph, state: Mapping[str, Tensor]) -> dict[str, Array]:
    missing = sorted(graph.tensors().keys() - state.keys())
    if missing:
        raise ExportError(f"the network's tensors {missing} are not in the state; was it made for another graph?")
    arrays = {name: np.asarray(state[name].detach().numpy(force=True), np.float32) for name in graph.tensors()}
    broken = sorted(name for name, array in arrays.items() if not np.isfinite(array).all())
    if broken:
        raise ExportError(f"expected finite weights, got infinities or NaN in {broken}; the training diverged")
    return arrays


def _normalisation(graph: Graph, mean: tuple[float, ...] | None, std: tuple[float, ...] | None) -> _Normalisation | None:
    if mean is None and std is None:
        return None
    channels = graph.shapes[graph.input.id][0]
    centre, spread = np.asarray(mean or (0.0,) * channels, np.float64), np.asarray(std or (1.0,) * channels, np.float64)
    if centre.shape != (channels,) or spread.shape != (channels,) or not (spread > 0).all():
        raise ExportError(f"expected a mean and a positive std for each of {channels} channels, got mean {mean} and std {std}")
    readers = [graph[user].op for user in graph.users[graph.input.id]]
    only_convolutions = all(isinstance(op, Conv) for op in readers)
    unpadded = all(isinstance(op, Conv) and not any(op.pads) for op in readers)
    return _Normalisation(centre, spread, only_convolutions, unpadded)


def _mixes(
    graph: Graph, stored: Mapping[int, StoredTensor], arrays: Mapping[str, Array]
) -> tuple[dict[int, ScaledAdd], dict[int, float]]:
    """The sums that weighted adds become, and what stored tensors are multiplied with instead (case 2)."""
    sums: dict[int, ScaledAdd] = {}
    folded: dict[int, float] = {}
    for node in graph:
        if not isinstance(node.op, WeightedAdd):
            continue
        mix = float(arrays[f"{node.id}.mix"])
        rest: list[float] = []
        for source, factor in zip(node.inputs, (1.0 - mix, mix), strict=True):
            if graph.users[source] == (node.id,) and _lets_pass(graph, stored.get(source), factor):
                folded[source] = factor
                rest.append(1.0)
            else:
                rest.append(factor)
        sums[node.id] = ScaledAdd(factors=(rest[0], rest[1]))
    return sums, folded


def _lets_pass(graph: Graph, tensor: StoredTensor | None, factor: float) -> bool:
    if tensor is None or not isinstance(graph[tensor.producer].op, Conv):
        return False
    last = graph[tensor.node].op
    return last.fuses != "activation" or (last.scales_through and factor >= 0.0)


def _layer(
    graph: Graph, tensor: StoredTensor, arrays: Mapping[str, Array], mix: float, normalisation: _Normalisation | None
) -> tuple[Op, dict[str, Array]]:
    """What one stored tensor's producer computes once it is deployed, and its own weights by name."""
    node = graph[tensor.producer]
    if isinstance(node.op, BatchNorm):
        scale, offset = _scale_and_offset(arrays, node)
        op = Conv(out_channels=len(scale), kernel=1, padding=0, groups=len(scale), bias=True)
        return op, {"weight": scale.astype(np.float32)[:, None, None, None], "bias": offset.astype(np.float32)}
    if isinstance(node.op, WeightedAdd):
        return node.op, {}
    if not isinstance(node.op, Conv):
        return node.op, {name: arrays[f"{node.id}.{name}"] for name in node.op.tensors(graph.input_shapes(node))}
    weight = arrays[f"{node.id}.weight"]
    bias = arrays[f"{node.id}.bias"].astype(np.float64) if node.op.bias else None
    if normalisation is not None and node.inputs == (graph.input.id,) and normalisation.folds_std:
        weight, bias = _fold_normalisation(weight, bias, node.op.groups, normalisation)
    norm = graph[tensor.nodes[1]] if len(tensor.nodes) > 1 and graph[tensor.nodes[1]].op.fuses == "norm" else None
    if norm is not None:
        scale, offset = _scale_and_offset(arrays, norm)
        weight = weight * scale.astype(np.float32)[:, None, None, None]
        bias = offset if bias is None else offset + bias * scale
    if mix != 1.0:
        weight = weight * np.float32(mix)
        bias = None if bias is None else bias * mix
    if bias is None:
        return node.op, {"weight": weight}
    return node.op if node.op.bias else replace(node.op, bias=True), {"weight": weight, "bias": bias.astype(np.float32)}


def _scale_and_offset(arrays: Mapping[str, Array], norm: Node) -> tuple[Exact, Exact]:
    """A batch norm in eval mode as scale * x + offset, (C,) each."""
    if not isinstance(norm.op, BatchNorm):
        raise ExportError(f"a {norm.op.kind} cannot be folded into the convolution before it; only a batch norm can")
    weight, bias, mean, var = (
        arrays[f"{norm.id}.{name}"].astype(np.float64) for name in ("weight", "bias", "running_mean", "running_var")
    )
    scale = weight / np.sqrt(var + norm.op.eps)
    return scale, bias - mean * scale


def _fold_normalisation(
    weight: Array, bias: Exact | None, groups: int, normalisation: _Normalisation
) -> tuple[Array, Exact | None]:
    """Case 3 for one convolution: filter f of group g reads the image's channels from g * (C / groups) on."""
    filters, per_group = weight.shape[:2]
    group = np.arange(filters) // (filters // groups)
    channel = group[:, None] * per_group + np.arange(per_group)[None]
    weight = weight * (1.0 / normalisation.std).astype(np.float32)[channel][:, :, None, None]
    if normalisation.folds_mean:
        shift = (weight.astype(np.float64).sum((2, 3)) * normalisation.mean[channel]).sum(1)
        bias = -shift if bias is None else bias - shift
    return weight, bias
