"""A graph with tensors: the network that torch trains."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from hwnas.errors import StoreError
from hwnas.graph import Graph, Node
from hwnas.network.compute import Compute, computation

State: TypeAlias = dict[str, Tensor]
Before: TypeAlias = Callable[[Node, Sequence[Tensor]], None]
After: TypeAlias = Callable[[Node, Tensor], Tensor]
_Holder: TypeAlias = tuple[Mapping[str, Any], str]  # a module's own dictionary of parameters or buffers, and a name in it

# oneDNN trains channels-last networks up to 1.8 times as fast on a CPU, but 12 % slower where the largest map has 4 channels.
CHANNELS_LAST_FROM = 8


@dataclass(frozen=True, slots=True)
class _Instruction:
    """One node, compiled: ``compute`` reads the registers ``inputs`` and fills ``output``; ``free`` are then no longer read.

    Its tensors are looked up in ``holders`` at each call, where torch puts other ones (``.to``, ``functional_call``).
    """

    node: Node
    compute: Compute
    inputs: tuple[int, ...]
    holders: tuple[_Holder, ...]
    output: int
    free: tuple[int, ...]


class Network(nn.Module):
    """The network of a graph; its ``state_dict`` keys are the graph's tensor names, ``"<node id>.<name>"``.

    Maps normalised images float (n, C, H, W) to logits (n, classes). Like any module it can be moved to a device, copied, pickled
    and called with other tensors.
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
            registers[step.output] = step.compute(
                [registers[i] for i in step.inputs],  # type: ignore[misc]
                [held[name] for held, name in step.holders],
                training,
            )
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
            tensors = [held[name] for held, name in step.holders]
            value = step.compute(inputs, tensors, self.training) if step.inputs else images
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
                computation(node.op) if node.inputs else _image,
                tuple(register[source] for source in node.inputs),
                self._holders(node),
                register[node.id],
                tuple({register[source] for source in node.inputs if last[source] == node.id}),
            )
            for node in order
        ]

    def _holders(self, node: Node) -> tuple[_Holder, ...]:
        module = self._modules.get(str(node.id))
        names = node.op.tensors(self.graph.input_shapes(node)) if node.inputs else {}
        if module is None:
            return ()
        return tuple((module._parameters if name in module._parameters else module._buffers, name) for name in names)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_program"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)  # type: ignore[no-untyped-call]
        self._program = tuple(self._compile())  # it holds functions and the modules' own dictionaries


def _memory_format(graph: Graph) -> torch.memory_format:
    maps = [graph.shapes[node.id] for node in graph.nodes if node.op.cost_kind in ("dense", "depthwise")]
    largest = max(maps, key=lambda shape: shape[1] * shape[2], default=(0,))
    return torch.channels_last if largest[0] >= CHANNELS_LAST_FROM else torch.contiguous_format


def _image(inputs: Sequence[Tensor], tensors: Sequence[Tensor], training: bool) -> Tensor:
    return inputs[0]
