"""A deployed network as torch computes it: one step for each stored tensor, weights in a stored format.

Weights are folded as they are in the exported file. 16-bit formats are stored in 16 bits, computed in float32 and rounded
after every stored tensor: a native 16-bit convolution is 20 to 30 times slower on a CPU.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from hwnas.errors import ConfigError
from hwnas.export import Deployed, deploy
from hwnas.graph import (
    Add,
    AvgPool,
    BatchNorm,
    Clip,
    Concat,
    Conv,
    GlobalAvgPool,
    Graph,
    Linear,
    MaxPool,
    Op,
    StoredTensor,
    WeightedAdd,
    stored_tensors,
)
from hwnas.injection.memory import Change, Memory
from hwnas.resilience import BFLOAT16, FLOAT16, FLOAT32, Format, Population, Role, TensorBits

Weights: TypeAlias = Mapping[str, Tensor]
FLOAT_FORMATS = (FLOAT32, FLOAT16, BFLOAT16)
_ROUNDED = {"float16": torch.float16, "bfloat16": torch.bfloat16}


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """The computation of one stored tensor: ``reads`` are numbers of earlier steps, ``clip`` is fused behind ``op``.

    ``groups`` is 1 for a linear layer; ``factors`` are a weighted add's (None: 1); ``macs`` for one image.
    """

    tensor: StoredTensor
    op: Op
    reads: tuple[int, ...]
    clip: Clip | None
    weight: str
    bias: str
    factors: tuple[float | None, ...]
    macs: int

    @property
    def name(self) -> str:
        """The stored tensor's name, as in the exported file."""
        return f"t{self.tensor.node}"

    @property
    def layer(self) -> str:
        """The layer's name in tables."""
        return f"{self.tensor.producer} {self.op.kind}"


class Program:
    """The steps of a network, image first and logits last, with its memory in one format."""

    def __init__(self, graph: Graph, deployed: Deployed, layout: Format = FLOAT32) -> None:
        """Raises ConfigError for a format that this program does not compute in, ModelError without weights."""
        if layout not in FLOAT_FORMATS:
            raise ConfigError(f"torch computes {', '.join(f.name for f in FLOAT_FORMATS)} networks, got {layout.name}")
        self.graph, self.layout = graph, layout
        self.steps = _steps(graph, deployed)
        self._scale, self._offset = (
            None if part is None else torch.tensor(part)[:, None, None] for part in (deployed.scale, deployed.offset)
        )
        self.memory = _memory(self.steps, deployed, layout)
        self.weights: Weights = {name: self._decoded(name, array) for name, array in self.memory.arrays.items()}
        self.owner = {name: number for number, step in enumerate(self.steps) for name in (step.weight, step.bias)}
        self.activations = Population(
            tensors=tuple(
                TensorBits(name=s.name, layer=s.layer, role=Role.ACTIVATION, size=s.tensor.elements, format=layout)
                for s in self.steps
            )
        )

    @classmethod
    def of(
        cls,
        graph: Graph,
        state: Mapping[str, Tensor],
        layout: Format = FLOAT32,
        *,
        mean: tuple[float, ...] | None = None,
        std: tuple[float, ...] | None = None,
    ) -> "Program":
        """The program of a trained network, which takes images in [0, 1]."""
        return cls(graph, deploy(graph, state, mean=mean, std=std), layout)

    def image(self, images: Tensor) -> Tensor:
        """Images (n, C, H, W) in [0, 1] as the first stored tensor."""
        if self._scale is not None:
            images = images * self._scale
        return self.rounded(images if self._offset is None else images + self._offset)

    def accumulate(self, step: Step, inputs: Sequence[Tensor], weights: Weights) -> Tensor:
        """What a step computes, before its clip and before it is rounded."""
        return _COMPUTE[type(step.op)](step, inputs, weights)

    def finish(self, step: Step, accumulated: Tensor) -> Tensor:
        """The clip and the rounding behind a step; each element on its own."""
        return self.rounded(accumulated if step.clip is None else _clipped(step.clip, accumulated))

    def rounded(self, values: Tensor) -> Tensor:
        """Values as the format can hold them."""
        kind = _ROUNDED.get(self.layout.name)
        return values if kind is None else values.to(kind).float()

    def with_changes(self, changes: Sequence[Change]) -> Weights:
        """The weights as a trial leaves them; those that it does not hit are shared."""
        return {
            **self.weights,
            **{change.tensor: self._decoded(change.tensor, self.memory.changed(change)) for change in changes},
        }

    def run(
        self, images: Tensor, weights: Weights | None = None, disturb: Callable[[int, Tensor], Tensor] | None = None
    ) -> Tensor:
        """Logits (n, classes) by a full pass; ``disturb`` may replace each step's stored tensor."""
        values: list[Tensor] = []
        for number, step in enumerate(self.steps):
            if number == 0:
                value = self.image(images)
            else:
                inputs = [values[source] for source in step.reads]
                value = self.finish(step, self.accumulate(step, inputs, self.weights if weights is None else weights))
            values.append(value if disturb is None else disturb(number, value))
        return values[-1]

    def _decoded(self, name: str, array: np.ndarray) -> Tensor:
        return torch.from_numpy(np.array(self.memory.formats[name].decode(array), np.float32))


def _steps(graph: Graph, deployed: Deployed) -> tuple[Step, ...]:
    # The logits go to the end: what lies behind them in another order does not read them.
    stored = sorted(stored_tensors(graph), key=lambda tensor: tensor.node == graph.output)
    number = {tensor.node: place for place, tensor in enumerate(stored)}
    steps = []
    for tensor in stored:
        node, last = graph[tensor.producer], graph[tensor.node].op
        steps.append(
            Step(
                tensor=tensor,
                op=node.op,
                reads=tuple(number[source] for source in tensor.reads),
                clip=last if isinstance(last, Clip) and tensor.node != node.id else None,
                weight=f"{node.id}.weight",
                bias=f"{node.id}.bias",
                factors=deployed.factors.get(node.id, ()),
                macs=node.op.macs(graph.input_shapes(node), graph.shapes[node.id]),
            )
        )
    return tuple(steps)


def _memory(steps: Sequence[Step], deployed: Deployed, layout: Format) -> Memory:
    arrays, tensors = {}, []
    for step in steps:
        for name, role in ((step.weight, Role.WEIGHT), (step.bias, Role.BIAS)):
            if name in deployed.weights:
                arrays[name] = layout.encode(deployed.weights[name])
                tensors.append(TensorBits(name=name, layer=step.layer, role=role, size=arrays[name].size, format=layout))
    return Memory(tensors, arrays)


def _clipped(clip: Clip, values: Tensor) -> Tensor:
    return torch.relu(values) if clip.is_relu else torch.clamp(values, clip.low, clip.high)


def _conv(step: Step, x: Sequence[Tensor], weights: Weights) -> Tensor:
    assert isinstance(step.op, Conv)
    op = step.op
    return F.conv2d(x[0], weights[step.weight], weights.get(step.bias), op.stride, op.padding, 1, op.groups)


def _batch_norm(step: Step, x: Sequence[Tensor], weights: Weights) -> Tensor:
    return x[0] * weights[step.weight].view(-1, 1, 1) + weights[step.bias].view(-1, 1, 1)


def _linear(step: Step, x: Sequence[Tensor], weights: Weights) -> Tensor:
    return F.linear(x[0].flatten(1), weights[step.weight], weights.get(step.bias))


def _pool(step: Step, x: Sequence[Tensor], weights: Weights) -> Tensor:
    assert isinstance(step.op, MaxPool | AvgPool)
    pool = torch.max_pool2d if isinstance(step.op, MaxPool) else F.avg_pool2d
    pooled: Tensor = pool(x[0], step.op.kernel, step.op.stride, step.op.padding)
    return pooled


def _add(step: Step, x: Sequence[Tensor], weights: Weights) -> Tensor:
    total = x[0]
    for term in x[1:]:
        total = total + term
    return total


def _weighted_add(step: Step, x: Sequence[Tensor], weights: Weights) -> Tensor:
    terms = [term if factor is None else term * factor for term, factor in zip(x, step.factors, strict=True)]
    return terms[0] + terms[1]


def _clip(step: Step, x: Sequence[Tensor], weights: Weights) -> Tensor:
    assert isinstance(step.op, Clip)
    return _clipped(step.op, x[0])


_COMPUTE: Mapping[type[Op], Callable[[Step, Sequence[Tensor], Weights], Tensor]] = {
    Conv: _conv,
    BatchNorm: _batch_norm,
    Linear: _linear,
    MaxPool: _pool,
    AvgPool: _pool,
    GlobalAvgPool: lambda step, x, weights: x[0].mean((2, 3), keepdim=True),
    Clip: _clip,
    Add: _add,
    WeightedAdd: _weighted_add,
    Concat: lambda step, x, weights: torch.cat(list(x), 1),
}
