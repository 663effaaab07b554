"""Executing an inheritance plan: a parent's tensors become a child's. Every decision was taken by the plan."""

import math
from collections.abc import Iterable, Mapping

import torch
from torch import Generator, Tensor

from hwnas.errors import MorphismError
from hwnas.graph import BatchNorm, Graph, Shape
from hwnas.morphism.inheritance import (
    Axis,
    Calibrated,
    Constant,
    Factorised,
    Fresh,
    Gap,
    Identity,
    Inheritance,
    Keep,
    Record,
    Slice,
    TopK,
)
from hwnas.network.network import State


def transfer(steps: Iterable[tuple[Graph, Inheritance]], parent: Mapping[str, Tensor], generator: Generator) -> State:
    """The state of the last step's graph: each step's plan in turn applied to ``parent``.

    ``generator`` (CPU) is the candidate's own random stream, from which fresh weights are drawn. Tensors of the result share no
    memory with the parent's and are contiguous. Raises MorphismError where a tensor does not come out in its shape.
    """
    state: Mapping[str, Tensor] = parent
    for graph, plan in steps:
        state = _apply(graph, plan, state, generator)
    return {name: tensor.clone(memory_format=torch.contiguous_format) for name, tensor in state.items()}


def _apply(graph: Graph, plan: Inheritance, parent: Mapping[str, Tensor], generator: Generator) -> State:
    shapes = graph.tensors()
    sets = {index_set.name: _top_k(index_set, parent) for index_set in plan.index_sets}
    made: State = {}
    for record in plan.records:
        made |= _make(record, graph, shapes, parent, sets, generator)
    child = {name: made[name] if name in made else parent[name] for name in shapes if name in made or name in parent}
    wrong = sorted(name for name, shape in shapes.items() if name not in child or tuple(child[name].shape) != shape)
    if wrong:
        raise MorphismError(f"the plan leaves tensors {wrong} without a value of their shape")
    return child


def _make(
    record: Record,
    graph: Graph,
    shapes: Mapping[str, Shape],
    parent: Mapping[str, Tensor],
    sets: Mapping[str, Tensor],
    generator: Generator,
) -> State:
    match record:
        case Constant():
            return {record.tensor: torch.full(shapes[record.tensor], record.value)}
        case Identity():
            return {record.tensor: _dirac(shapes[record.tensor], record.first)}
        case Fresh():
            return {record.tensor: _he(shapes[record.tensor], generator)}
        case Calibrated():
            return _passing_batch_norm(record.node, graph)
        case Factorised():
            depthwise, pointwise = _factorise(_source(parent, record.source))
            return {record.depthwise: depthwise, record.pointwise: pointwise}
        case Slice():
            return {record.tensor: _slice(record, shapes[record.tensor], _source(parent, record.source), sets, generator)}


def _source(parent: Mapping[str, Tensor], name: str) -> Tensor:
    if name not in parent:
        raise MorphismError(f"the plan reads {name}, which the parent does not have; it was made for another parent")
    return parent[name]


def _top_k(rule: TopK, parent: Mapping[str, Tensor]) -> Tensor:
    """(count,) ascending indices; equal norms are settled by the lower index."""
    norms = _source(parent, rule.source).flatten(1).abs().sum(1)
    return torch.sort(torch.argsort(norms, descending=True, stable=True)[: rule.count]).values


def _he(shape: Shape, generator: Generator) -> Tensor:
    """He initialisation [He2015]: normal with variance 2 / fan-in; vectors are zero."""
    if len(shape) < 2:
        return torch.zeros(shape)
    return torch.randn(shape, generator=generator) * math.sqrt(2.0 / math.prod(shape[1:]))


def _dirac(shape: Shape, first: int | None) -> Tensor:
    """(out, in / groups, kh, kw) with a one where a filter reads its own channel in the kernel's centre.

    With ``first``, filter ``first`` + i reads channel i, and all others none.
    """
    weight = torch.zeros(shape)
    out, per_group, height, width = shape
    filters = torch.arange(out) if first is None else torch.arange(first, first + per_group)
    weight[filters, (filters - (first or 0)) % per_group, height // 2, width // 2] = 1.0
    return weight


def _passing_batch_norm(node: int, graph: Graph) -> State:
    """A batch norm that passes its input on until calibration gives it its input's mean and variance."""
    op = graph[node].op
    if not isinstance(op, BatchNorm):
        raise MorphismError(f"the plan calibrates node {node} as a batch norm, but it is a {op.kind}")
    channels = graph.shapes[node][0]
    ones, zeros = torch.ones(channels), torch.zeros(channels)
    return {
        f"{node}.weight": ones,
        f"{node}.bias": zeros,
        f"{node}.running_mean": zeros.clone(),
        f"{node}.running_var": ones - op.eps,  # batch norm divides by sqrt(var + eps)
    }


def _factorise(weight: Tensor) -> tuple[Tensor, Tensor]:
    """(out, in, kh, kw) as depthwise (in, 1, kh, kw) and pointwise (out, in, 1, 1): rank 1 for each input channel, by SVD."""
    out, channels, height, width = weight.shape
    u, s, vh = torch.linalg.svd(weight.permute(1, 0, 2, 3).reshape(channels, out, height * width), full_matrices=False)
    root = s[:, 0].sqrt()
    depthwise = (vh[:, 0] * root[:, None]).reshape(channels, 1, height, width)
    pointwise = (u[:, :, 0] * root[:, None]).t().reshape(out, channels, 1, 1)
    return depthwise.contiguous(), pointwise.contiguous()


def _slice(record: Slice, shape: Shape, source: Tensor, sets: Mapping[str, Tensor], generator: Generator) -> Tensor:
    filled = torch.full(shape, 1.0 if record.fill == "ones" else 0.0)
    child = _he(shape, generator) if record.fill == "fresh" else filled
    block, places = source, []
    for axis in range(len(shape)):
        cut = next((a for a in record.axes if a.axis == axis), None)
        if cut is None:
            places.append(torch.arange(shape[axis]))
            continue
        read, written, length = _indices(cut, sets)
        if length != shape[axis]:
            raise MorphismError(f"{record.tensor}: the plan for axis {axis} has {length} of {shape[axis]} entries")
        if len(read) and int(read.max()) >= source.shape[axis]:
            last = int(read.max()) + 1
            raise MorphismError(f"{record.tensor}: the plan for axis {axis} reads up to {last} of {source.shape[axis]} entries")
        block = block.index_select(axis, read)
        places.append(written)
    grid = torch.meshgrid(*places, indexing="ij")
    if block.shape != grid[0].shape:
        raise MorphismError(f"{record.tensor}: entries cut from {record.source} have shape {tuple(block.shape)}, not {shape}")
    child[places[0]] = 0.0  # a gap of another axis, in a row that is not new, holds 0 whatever the fill
    child[grid] = block
    return child


def _indices(axis: Axis, sets: Mapping[str, Tensor]) -> tuple[Tensor, Tensor, int]:
    """Which entries of the source are read, and where in the child they are written, both (k,); and the axis' length."""
    none = torch.empty(0, dtype=torch.long)
    read, written, position = [none], [none], 0
    for segment in axis.segments:
        if isinstance(segment, Gap):
            position += segment.count
            continue
        if isinstance(segment, Keep):
            entries = torch.arange(segment.start, segment.stop)
        else:
            starts = segment.start + sets[segment.index_set] * segment.block
            entries = (starts[:, None] + torch.arange(segment.block)[None]).flatten()
        read.append(entries)
        written.append(torch.arange(position, position + len(entries)))
        position += len(entries)
    return torch.cat(read), torch.cat(written), position
