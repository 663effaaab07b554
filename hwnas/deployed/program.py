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
from numpy.typing import NDArray
from torch import Tensor

from hwnas.deployed.folding import Folded, fold
from hwnas.deployed.memory import Change, Memory
from hwnas.errors import ConfigError, DataError
from hwnas.graph import Clip, Graph, MaxPool, Op, StoredTensor, logits_tensor, stored_tensors
from hwnas.network import Compute, computation
from hwnas.resilience import BFLOAT16, FLOAT16, FLOAT32, LOG8, Format, Population, Role, TensorBits
from hwnas.resilience.formats import Values

Weights: TypeAlias = Mapping[str, Tensor]
Scales: TypeAlias = Mapping[str, float]
TORCH_FORMATS = (FLOAT32, FLOAT16, BFLOAT16, LOG8)
_ROUNDED = {"float16": torch.float16, "bfloat16": torch.bfloat16}


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """The computation of one stored tensor.

    ``reads`` are numbers of earlier steps; ``views`` tells of each whether it is read as a vector; ``activation`` is fused behind
    ``op``; ``tensors`` are the names of its weights in memory, in the order in which ``op`` takes them; ``kind`` is that of the
    graph's own operation; ``macs`` for one image.
    """

    tensor: StoredTensor
    op: Op
    kind: str
    reads: tuple[int, ...]
    views: tuple[bool, ...]
    activation: Op | None
    tensors: tuple[str, ...]
    macs: int

    @property
    def name(self) -> str:
        """The stored tensor's name, as in the exported file."""
        return f"t{self.tensor.node}"

    @property
    def layer(self) -> str:
        """The layer's name in tables."""
        return f"{self.tensor.producer} {self.kind}"

    @property
    def weight(self) -> str:
        """The name of the tensor ``weight``, whether it has one or not."""
        return f"{self.tensor.producer}.weight"

    @property
    def bias(self) -> str:
        """The name of the tensor ``bias``, whether it has one or not."""
        return f"{self.tensor.producer}.bias"


class Program:
    """The steps of a network, image first and logits last, with its memory in one format."""

    def __init__(
        self, graph: Graph, folded: Folded, layout: Format = FLOAT32, *, calibration: NDArray[np.float32] | None = None
    ) -> None:
        """``calibration``: training images (n, C, H, W) in [0, 1], which log8 needs.

        Raises ConfigError for a format that this program does not compute in or without such images, ModelError without weights.
        """
        if layout not in TORCH_FORMATS:
            raise ConfigError(f"torch computes {', '.join(f.name for f in TORCH_FORMATS)} networks, got {layout.name}")
        self.graph, self.layout = graph, layout
        self.steps = _steps(graph, folded)
        self._computations = {step.tensor.node: _inference(step.op) for step in self.steps if step.reads}
        self._activations = {step.tensor.node: _in_place(step.activation) for step in self.steps if step.activation}
        self.full_scales = _full_scales(graph, folded, calibration) if layout is LOG8 else {}
        norm = (folded.scale, folded.offset)
        self.normalisation = tuple(None if part is None else np.ravel(part).tolist() for part in norm)
        self._scale, self._offset = (None if part is None else torch.tensor(part)[:, None, None] for part in norm)
        self.memory = self._stored(folded)
        self.weights: Weights = {name: self._weight(name, array) for name, array in self.memory.arrays.items()}
        self.owner = {name: number for number, step in enumerate(self.steps) for name in step.tensors}
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
        return cls(graph, fold(graph, state, mean=mean, std=std), layout, calibration=calibration)

    @cached_property
    def gains(self) -> tuple[float, ...]:
        """Of each step, how much larger than its inputs a sum of products can be, partial sums included."""
        weights = [self.weights.get(step.weight) for step in self.steps]
        return tuple(1.0 if weight is None else float(weight.view(len(weight), -1).abs().sum(1).max()) for weight in weights)

    def image(self, images: Tensor) -> Tensor:
        """Images (n, C, H, W) in [0, 1] as the first stored tensor."""
        if self._scale is not None:
            images = images * self._scale
        return self._rounded(self.steps[0], images if self._offset is None else images + self._offset)

    def accumulate(self, step: Step, inputs: Sequence[Tensor], weights: Weights) -> Tensor:
        """What a step computes, before its activation and before it is rounded."""
        read = [value.flatten(1) if view else value for value, view in zip(inputs, step.views, strict=True)]
        return self._computations[step.tensor.node](read, [weights[name] for name in step.tensors], False)

    def finish(self, step: Step, accumulated: Tensor, *, spent: bool = False) -> Tensor:
        """The activation and the rounding behind a step; each element on its own. ``spent``: the sums may be overwritten."""
        if step.activation is not None:
            accumulated = self._activations[step.tensor.node](accumulated, spent)
        return self._rounded(step, accumulated)

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

    def _stored(self, folded: Folded) -> Memory:
        arrays, tensors = {}, []
        for step in self.steps:
            for name in step.tensors:
                role = Role.BIAS if name == step.bias else Role.WEIGHT
                arrays[name] = self.encoded(name, folded.weights[name])
                tensors.append(TensorBits(name=name, layer=step.layer, role=role, size=arrays[name].size, format=self.layout))
        return Memory(tensors, arrays)


def _steps(graph: Graph, folded: Folded) -> tuple[Step, ...]:
    # The logits go to the end: what lies behind them in another order does not read them.
    logits = logits_tensor(graph)
    stored = sorted(stored_tensors(graph), key=lambda tensor: tensor.node == logits)
    number = {tensor.node: place for place, tensor in enumerate(stored)}
    steps = []
    for tensor in stored:
        node, last = graph[tensor.producer], graph[tensor.node].op
        inputs = graph.input_shapes(node)
        op = folded.op(node)
        steps.append(
            Step(
                tensor=tensor,
                op=op,
                kind=node.op.kind,
                reads=tuple(number[source] for source in tensor.reads),
                views=tuple(graph[source].op.is_view for source in node.inputs),
                activation=last if last.fuses == "activation" and tensor.node != node.id else None,
                tensors=tuple(f"{node.id}.{name}" for name in op.tensors(inputs)),
                macs=node.op.macs(inputs, graph.shapes[node.id]),
            )
        )
    return tuple(steps)


def _full_scales(graph: Graph, folded: Folded, calibration: NDArray[np.float32] | None) -> Scales:
    if calibration is None or not len(calibration):
        raise ConfigError(f"{LOG8.name} needs training images to take full scales from; give the data, or choose another format")
    expected = tuple(graph.shapes[graph.input.id])
    if calibration.shape[1:] != expected:
        raise DataError(f"the model takes images of shape {expected}, the training images have {calibration.shape[1:]}")
    exact = Program(graph, folded)
    peaks = {name: float(np.abs(array).max()) for name, array in exact.memory.arrays.items()}

    def seen(number: int, value: Tensor) -> Tensor:
        peaks[exact.steps[number].name] = float(value.abs().max())
        return value

    with torch.inference_mode():
        exact.run(torch.from_numpy(np.ascontiguousarray(calibration)), disturb=seen)
    return {name: 2.0 ** math.ceil(math.log2(peak)) if peak else 1.0 for name, peak in peaks.items()}


def _inference(op: Op) -> Compute:
    """What an operation computes where nothing is trained; by a faster way where that gives the very same."""
    if isinstance(op, MaxPool) and (op.kernel, op.stride, op.padding, op.ceil_mode) == (2, 2, 0, False):
        return lambda x, tensors, training: _halved(x[0])
    return computation(op)


def _halved(x: Tensor) -> Tensor:
    """Maxima of 2 x 2 pixels, NaN included: the same as max_pool2d, which is 20 times slower on a CPU."""
    height, width = x.shape[-2] // 2 * 2, x.shape[-1] // 2 * 2
    rows = torch.maximum(x[..., 0:height:2, :width], x[..., 1:height:2, :width])
    return torch.maximum(rows[..., ::2], rows[..., 1::2])


def _in_place(activation: Op) -> Callable[[Tensor, bool], Tensor]:
    """An activation that may overwrite its input where that is spent, if there is such a form of it."""
    if isinstance(activation, Clip):
        clip = activation

        def clipped(values: Tensor, spent: bool) -> Tensor:
            if clip.is_relu:
                return torch.relu_(values) if spent else torch.relu(values)
            return torch.clamp(values, clip.low, clip.high, out=values if spent else None)

        return clipped
    compute = computation(activation)
    return lambda values, spent: compute([values], [], False)
