"""A deployed network as torch computes it: one step for each stored tensor, weights in a stored format.

Weights are folded as they are in the exported file. 16-bit and logarithmic formats are stored in their bits, computed in
float32 and rounded after every stored tensor: a native 16-bit convolution is 20 to 30 times slower on a CPU. log8 has a full
scale for each tensor: the least power of two that is not below any weight, or any value that training images gave (ours).
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from hwnas.errors import ConfigError, DataError
from hwnas.export import Deployed, deploy
from hwnas.graph import (
    Add,
    AvgPool,
    BatchNorm,
    Clip,
    Concat,
    Conv,
    Flatten,
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
from hwnas.resilience import BFLOAT16, FLOAT16, FLOAT32, LOG8, Format, Population, Role, TensorBits
from hwnas.resilience.formats import Values

Weights: TypeAlias = Mapping[str, Tensor]
Scales: TypeAlias = Mapping[str, float]
TORCH_FORMATS = (FLOAT32, FLOAT16, BFLOAT16, LOG8)
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

    def __init__(
        self, graph: Graph, deployed: Deployed, layout: Format = FLOAT32, *, calibration: NDArray[np.float32] | None = None
    ) -> None:
        """``calibration``: training images (n, C, H, W) in [0, 1], which log8 needs.

        Raises ConfigError for a format that this program does not compute in or without such images, ModelError without weights.
        """
        if layout not in TORCH_FORMATS:
            raise ConfigError(f"torch computes {', '.join(f.name for f in TORCH_FORMATS)} networks, got {layout.name}")
        self.graph, self.layout = graph, layout
        self.steps = _steps(graph, deployed)
        self.full_scales = _full_scales(graph, deployed, calibration) if layout is LOG8 else {}
        norm = (deployed.scale, deployed.offset)
        self.normalisation = tuple(None if part is None else np.ravel(part).tolist() for part in norm)
        self._scale, self._offset = (None if part is None else torch.tensor(part)[:, None, None] for part in norm)
        self.memory = self._stored(deployed)
        self.weights: Weights = {name: self._weight(name, array) for name, array in self.memory.arrays.items()}
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
        calibration: NDArray[np.float32] | None = None,
    ) -> "Program":
        """The program of a trained network, which takes images in [0, 1]."""
        return cls(graph, deploy(graph, state, mean=mean, std=std), layout, calibration=calibration)

    @cached_property
    def gains(self) -> tuple[float, ...]:
        """Of each step, how much larger than its inputs a sum of products can be, partial sums included."""
        weights = [self.weights.get(step.weight) for step in self.steps]
        return tuple(1.0 if weight is None else float(weight.flatten(1).abs().sum(1).max()) for weight in weights)

    def image(self, images: Tensor) -> Tensor:
        """Images (n, C, H, W) in [0, 1] as the first stored tensor."""
        if self._scale is not None:
            images = images * self._scale
        return self._rounded(self.steps[0], images if self._offset is None else images + self._offset)

    def accumulate(self, step: Step, inputs: Sequence[Tensor], weights: Weights) -> Tensor:
        """What a step computes, before its clip and before it is rounded."""
        return _COMPUTE[type(step.op)](step, inputs, weights)

    def finish(self, step: Step, accumulated: Tensor, *, spent: bool = False) -> Tensor:
        """The clip and the rounding behind a step; each element on its own. ``spent``: the sums may be overwritten."""
        return self._rounded(step, accumulated if step.clip is None else _clipped(step.clip, accumulated, spent))

    def encoded(self, name: str, values: NDArray[np.float32]) -> Values:
        """Values of a tensor (of the memory or of a step) as they are stored."""
        return self.layout.encode(values / self.full_scales[name] if self.full_scales else values)

    def decoded(self, name: str, stored: Values) -> NDArray[np.float32]:
        """The values of what is stored of a tensor."""
        values = np.asarray(self.layout.decode(stored), np.float32)
        return values * np.float32(self.full_scales[name]) if self.full_scales else values

    def with_changes(self, changes: Sequence[Change]) -> Weights:
        """The weights as a trial leaves them; those that it does not hit are shared."""
        return {
            **self.weights,
            **{change.tensor: self._weight(change.tensor, self.memory.changed(change)) for change in changes},
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
        return values[-1].flatten(1)

    def _weight(self, name: str, array: Values) -> Tensor:
        return torch.from_numpy(np.array(self.decoded(name, array)))

    def _rounded(self, step: Step, values: Tensor) -> Tensor:
        """Values as the format can hold them."""
        if self.full_scales:
            return torch.from_numpy(self.decoded(step.name, self.encoded(step.name, values.numpy())))
        kind = _ROUNDED.get(self.layout.name)
        return values if kind is None else values.to(kind).float()

    def _stored(self, deployed: Deployed) -> Memory:
        arrays, tensors = {}, []
        for step in self.steps:
            for name, role in ((step.weight, Role.WEIGHT), (step.bias, Role.BIAS)):
                if name in deployed.weights:
                    arrays[name] = self.encoded(name, deployed.weights[name])
                    tensors.append(
                        TensorBits(name=name, layer=step.layer, role=role, size=arrays[name].size, format=self.layout)
                    )
        return Memory(tensors, arrays)


def _steps(graph: Graph, deployed: Deployed) -> tuple[Step, ...]:
    # The logits go to the end: what lies behind them in another order does not read them.
    logits = graph[graph.output]
    while isinstance(logits.op, Flatten):
        logits = graph[logits.inputs[0]]
    stored = sorted(stored_tensors(graph), key=lambda tensor: tensor.node == logits.id)
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


def _full_scales(graph: Graph, deployed: Deployed, calibration: NDArray[np.float32] | None) -> Scales:
    if calibration is None or not len(calibration):
        raise ConfigError(f"{LOG8.name} needs training images to take full scales from; give the data, or choose another format")
    expected = tuple(graph.shapes[graph.input.id])
    if calibration.shape[1:] != expected:
        raise DataError(f"the model takes images of shape {expected}, the training images have {calibration.shape[1:]}")
    exact = Program(graph, deployed)
    peaks = {name: float(np.abs(array).max()) for name, array in exact.memory.arrays.items()}

    def seen(number: int, value: Tensor) -> Tensor:
        peaks[exact.steps[number].name] = float(value.abs().max())
        return value

    with torch.inference_mode():
        exact.run(torch.from_numpy(np.ascontiguousarray(calibration)), disturb=seen)
    return {name: 2.0 ** math.ceil(math.log2(peak)) if peak else 1.0 for name, peak in peaks.items()}


def _clipped(clip: Clip, values: Tensor, spent: bool = False) -> Tensor:
    if clip.is_relu:
        return torch.relu_(values) if spent else torch.relu(values)
    return torch.clamp(values, clip.low, clip.high, out=values if spent else None)


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
    if isinstance(step.op, MaxPool) and (step.op.kernel, step.op.stride, step.op.padding) == (2, 2, 0):
        return _halved(x[0])
    pool = torch.max_pool2d if isinstance(step.op, MaxPool) else F.avg_pool2d
    pooled: Tensor = pool(x[0], step.op.kernel, step.op.stride, step.op.padding)
    return pooled


def _halved(x: Tensor) -> Tensor:
    """Maxima of 2 x 2 pixels, NaN included: the same as max_pool2d, which is 20 times slower on a CPU."""
    height, width = x.shape[-2] // 2 * 2, x.shape[-1] // 2 * 2
    rows = torch.maximum(x[..., 0:height:2, :width], x[..., 1:height:2, :width])
    return torch.maximum(rows[..., ::2], rows[..., 1::2])


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
