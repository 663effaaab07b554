"""A graph with tensors: the network that torch trains."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hwnas.errors import StoreError
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
    Node,
    Op,
    WeightedAdd,
)

State: TypeAlias = dict[str, Tensor]
Before: TypeAlias = Callable[[Node, Sequence[Tensor]], None]
After: TypeAlias = Callable[[Node, Tensor], Tensor]
_Compute: TypeAlias = Callable[[Sequence[Tensor], bool], Tensor]

BATCH_NORM_MOMENTUM = 0.1
# oneDNN trains channels-last networks up to 1.8 times as fast on a CPU, but 12 % slower where the largest map has 4 channels.
CHANNELS_LAST_FROM = 8


@dataclass(frozen=True, slots=True)
class _Instruction:
    """One node, compiled: ``compute`` reads the registers ``inputs`` and fills ``output``; ``free`` are then no longer read."""

    node: Node
    compute: _Compute
    inputs: tuple[int, ...]
    output: int
    free: tuple[int, ...]


class Network(nn.Module):
    """The network of a graph; its ``state_dict`` keys are the graph's tensor names, ``"<node id>.<name>"``.

    Maps normalised images float (n, C, H, W) to logits (n, classes). The tensors are bound when the network is made: load a
    state into it, but do not replace its parameters.
    """

    def __init__(self, graph: Graph, state: Mapping[str, Tensor] | None = None) -> None:
        super().__init__()
        self.graph = graph
        self.memory_format = _memory_format(graph)
        learnable = graph.parameters().keys()
        for name, shape in graph.tensors().items():
            owner, _, tensor = name.partition(".")
            if owner not in self._modules:
                self.add_module(owner, nn.Module())
            holder = self._modules[owner]
            assert holder is not None
            value = self._laid_out(torch.zeros(shape))
            if name in learnable:
                holder.register_parameter(tensor, nn.Parameter(value))
            else:
                holder.register_buffer(tensor, value)
        self._program = tuple(self._compile())
        if state is not None:
            self.load(state)

    def _laid_out(self, tensor: Tensor) -> Tensor:
        return tensor.contiguous(memory_format=self.memory_format) if tensor.dim() == 4 else tensor

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Copy a state in. Raises StoreError unless it has exactly the network's tensors in their shapes."""
        own = self.state_dict()
        wrong = sorted(name for name in own.keys() | state.keys() if name not in own or name not in state)
        wrong += sorted(name for name in own.keys() & state.keys() if own[name].shape != state[name].shape)
        if wrong:
            raise StoreError(f"the weights do not fit the network: {wrong} are missing, too many or of another shape")
        with torch.no_grad():
            for name, tensor in own.items():
                tensor.copy_(state[name])

    def state(self) -> State:
        """A contiguous copy of every tensor."""
        return {name: tensor.detach().clone(memory_format=torch.contiguous_format) for name, tensor in self.state_dict().items()}

    def forward(self, images: Tensor) -> Tensor:
        """Logits (n, classes)."""
        registers: list[Tensor | None] = [None] * len(self._program)
        registers[0] = images
        training = self.training
        for step in self._program[1:]:
            registers[step.output] = step.compute([registers[i] for i in step.inputs], training)  # type: ignore[misc]
        logits = registers[self._program[-1].output]
        assert logits is not None
        return logits

    def walk(self, images: Tensor, *, before: Before | None = None, after: After | None = None) -> Tensor:
        """``forward`` with visitors: ``before`` sees a node's inputs, ``after`` may replace its output."""
        registers: list[Tensor | None] = [None] * len(self._program)
        registers[0] = images
        for step in self._program:
            inputs = [tensor for i in step.inputs if (tensor := registers[i]) is not None]
            if before is not None:
                before(step.node, inputs)
            value = step.compute(inputs, self.training) if step.inputs else images
            registers[step.output] = value if after is None else after(step.node, value)
            for index in step.free:
                registers[index] = None
        logits = registers[self._program[-1].output]
        assert logits is not None
        return logits

    def _compile(self) -> list[_Instruction]:
        # The logits' node moves to the end, so that the last instruction gives the answer.
        order = sorted(self.graph.nodes, key=lambda node: node.id == self.graph.output)
        register = {node.id: place for place, node in enumerate(order)}
        last = {source: node.id for node in order for source in node.inputs}
        return [
            _Instruction(
                node,
                _COMPUTE[type(node.op)](node.op, dict(self._tensors_of(node))) if node.inputs else _image,
                tuple(register[source] for source in node.inputs),
                register[node.id],
                tuple({register[source] for source in node.inputs if last[source] == node.id}),
            )
            for node in order
        ]

    def _tensors_of(self, node: Node) -> dict[str, Tensor]:
        holder = self._modules.get(str(node.id))
        return {} if holder is None else dict(holder.named_parameters()) | dict(holder.named_buffers())


def _memory_format(graph: Graph) -> torch.memory_format:
    maps = [graph.shapes[node.id] for node in graph.nodes if isinstance(node.op, Conv)]
    largest = max(maps, key=lambda shape: shape[1] * shape[2], default=(0,))
    return torch.channels_last if largest[0] >= CHANNELS_LAST_FROM else torch.contiguous_format


def _image(inputs: Sequence[Tensor], training: bool) -> Tensor:
    return inputs[0]


def _conv(op: Op, tensors: Mapping[str, Tensor]) -> _Compute:
    assert isinstance(op, Conv)
    weight, bias, stride, padding, groups = tensors["weight"], tensors.get("bias"), op.stride, op.padding, op.groups
    if groups == 1:
        return lambda x, _: F.conv2d(x[0], weight, bias, stride, padding, 1, groups)
    # Always float32, past autocast: a depthwise convolution in bfloat16 is up to five times slower on a CPU.
    strides, paddings = (stride, stride), (padding, padding)
    return lambda x, _: torch.convolution(x[0].float(), weight, bias, strides, paddings, (1, 1), False, (0, 0), groups)


def _batch_norm(op: Op, tensors: Mapping[str, Tensor]) -> _Compute:
    weight, bias, mean, var = (tensors[name] for name in ("weight", "bias", "running_mean", "running_var"))
    # torch's own function, without F.batch_norm's Python checks: small networks are bound by such overhead.
    return lambda x, training: torch.batch_norm(
        x[0], weight, bias, mean, var, training, BATCH_NORM_MOMENTUM, BatchNorm.EPS, False
    )


def _clip(op: Op, tensors: Mapping[str, Tensor]) -> _Compute:
    assert isinstance(op, Clip)
    if op.is_relu:
        return lambda x, _: torch.relu(x[0])
    low, high = op.low, op.high
    return lambda x, _: torch.clamp(x[0], low, high)


def _max_pool(op: Op, tensors: Mapping[str, Tensor]) -> _Compute:
    assert isinstance(op, MaxPool)
    kernel, stride, padding = op.kernel, op.stride, op.padding
    return lambda x, _: torch.max_pool2d(x[0], kernel, stride, padding)


def _avg_pool(op: Op, tensors: Mapping[str, Tensor]) -> _Compute:
    assert isinstance(op, AvgPool)
    kernel, stride, padding = op.kernel, op.stride, op.padding
    return lambda x, _: F.avg_pool2d(x[0], kernel, stride, padding)


def _global_avg_pool(op: Op, tensors: Mapping[str, Tensor]) -> _Compute:
    return lambda x, _: x[0].mean((2, 3), keepdim=True)


def _flatten(op: Op, tensors: Mapping[str, Tensor]) -> _Compute:
    return lambda x, _: x[0].flatten(1)


def _linear(op: Op, tensors: Mapping[str, Tensor]) -> _Compute:
    weight, bias = tensors["weight"], tensors["bias"]
    return lambda x, _: F.linear(x[0], weight, bias)


def _add(op: Op, tensors: Mapping[str, Tensor]) -> _Compute:
    return lambda x, _: torch.add(x[0], x[1]) if len(x) == 2 else torch.stack(list(x)).sum(0)


def _weighted_add(op: Op, tensors: Mapping[str, Tensor]) -> _Compute:
    mix = tensors["mix"]

    def compute(x: Sequence[Tensor], training: bool) -> Tensor:
        one, other = x
        if one.dtype is other.dtype is mix.dtype:
            return torch.lerp(one, other, mix)
        return one + (other - one) * mix  # lerp does not promote what autocast left in two precisions

    return compute


def _concat(op: Op, tensors: Mapping[str, Tensor]) -> _Compute:
    return lambda x, _: torch.cat(list(x), 1)


_COMPUTE: Mapping[type[Op], Callable[[Op, Mapping[str, Tensor]], _Compute]] = {
    Conv: _conv,
    BatchNorm: _batch_norm,
    Clip: _clip,
    MaxPool: _max_pool,
    AvgPool: _avg_pool,
    GlobalAvgPool: _global_avg_pool,
    Flatten: _flatten,
    Linear: _linear,
    Add: _add,
    WeightedAdd: _weighted_add,
    Concat: _concat,
}
