"""A graph as it is made of an exported program, one operation after another: its nodes, their tensors, what each value is."""

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import fx

from hwnas.errors import GraphError, ModelError
from hwnas.graph import Conv, Flatten, Graph, Input, Linear, Node, Op, Shape
from hwnas.graph.ops import Passes, Ties
from hwnas.importing.call import Call, Constant, Held, Value
from hwnas.network import State


class Translation:
    """What has been translated so far: nodes, their shapes and tensors, and what each value of the program stands for."""

    def __init__(self, image: Input) -> None:
        self.nodes = {1: Node(1, image)}
        self.shapes: dict[int, Shape] = {1: image.shape([])}
        self.held: dict[fx.Node, Held] = {}
        self._tensors: dict[int, dict[str, Constant]] = {1: {}}

    def put(
        self, call: Call, op: Op, *sources: int, tensors: Mapping[str, Constant | None] | None = None, channels_last: bool = False
    ) -> Value:
        """Add a node that owns ``tensors``; those that are None or left out are neutral. Raises ModelError."""
        shapes = [self.shapes[source] for source in sources]
        try:
            shape, wanted = op.shape(shapes), op.tensors(shapes)
        except GraphError as error:
            raise call.refuse(str(error)) from error
        own = {}
        for name, size in wanted.items():
            given = (tensors or {}).get(name) or Constant(tensor=torch.full(size, float(op.initial(name) == "ones")))
            if tuple(given.tensor.shape) != size:
                raise call.refuse(f"its {name} must have the shape {size} here, got {tuple(given.tensor.shape)}")
            own[name] = given
        number = max(self.nodes) + 1
        self.nodes[number], self.shapes[number], self._tensors[number] = Node(number, op, sources), shape, own
        return Value(node=number, channels_last=channels_last)

    def put_alike(self, call: Call, op: Op, *values: Value, tensors: Mapping[str, Constant | None] | None = None) -> Value:
        """Add a node whose output has its channels where its inputs have theirs. Raises ModelError where these differ."""
        if len({value.channels_last for value in values}) > 1:
            raise call.refuse("the channels come last in one of its inputs, first in another")
        return self.put(call, op, *(value.node for value in values), tensors=tensors, channels_last=values[0].channels_last)

    def first(self, call: Call, value: Value) -> int:
        """The node of a value whose channels come first. Raises ModelError."""
        if value.channels_last:
            raise call.refuse("it reads channels that come last; permute them back before it")
        return value.node

    def as_torch_sees(self, value: Value) -> Shape:
        """The shape of a value but for the batch."""
        shape = self.shapes[value.node]
        return (*shape[1:], shape[0]) if value.channels_last else shape

    def as_map(self, call: Call, number: int) -> int:
        """A node of the same numbers with shape (F, 1, 1) for a vector (F,), as squeeze-and-excitation with linear layers needs.

        The layers since the flatten are put again, as convolutions of 1x1. Raises ModelError where they cannot be.
        """
        node, shape = self.nodes[number], self.shapes[number]
        if len(shape) == 3:
            return number
        if isinstance(node.op, Flatten) and self.shapes[node.inputs[0]][1:] == (1, 1):
            return node.inputs[0]
        tensors: Mapping[str, Constant | None] = self._tensors[number]
        if isinstance(node.op, Linear):
            op: Op = Conv(out_channels=node.op.out_features, kernel=1, padding=0, bias=node.op.bias)
            weight = self._tensors[number]["weight"]
            tensors = {**tensors, "weight": replace(weight, tensor=weight.tensor[:, :, None, None])}
        elif isinstance(node.op.layout([self.shapes[source] for source in node.inputs]), Passes | Ties):
            op = node.op
        else:
            raise call.refuse(f"a vector that a {node.op.kind} gives cannot become a feature map")
        sources = [self.as_map(call, source) for source in node.inputs]
        return self.put(call, op, *sources, tensors=tensors).node

    def finished(self, output: Value) -> tuple[Graph, State]:
        """The graph of all that the output needs, and its state, which shares no memory with the model. Raises ModelError."""
        numbers = self._numbers(output)
        self._refuse_shared(set(numbers))
        nodes = tuple(
            Node(new, self.nodes[old].op, tuple(numbers[source] for source in self.nodes[old].inputs))
            for old, new in numbers.items()
        )
        state = {
            f"{new}.{name}": constant.tensor.detach().clone(memory_format=torch.contiguous_format)
            for old, new in numbers.items()
            for name, constant in self._tensors[old].items()
        }
        return Graph(nodes, numbers[output.node]), state

    def names(self, output: Value) -> dict[str, str]:
        """The model's own names of the graph's tensors; what is made of several of them, or of none, has none."""
        return {
            f"{new}.{name}": next(iter(constant.names))
            for old, new in self._numbers(output).items()
            for name, constant in self._tensors[old].items()
            if len(constant.names) == 1
        }

    def _numbers(self, output: Value) -> dict[int, int]:
        """The nodes that the output needs, in order, numbered from 1."""
        needed, waiting = {1}, [output.node]
        while waiting:
            number = waiting.pop()
            if number not in needed:
                needed.add(number)
                waiting += self.nodes[number].inputs
        return {old: new for new, old in enumerate(sorted(needed), 1)}

    def _refuse_shared(self, numbers: set[int]) -> None:
        """Raise ModelError where two layers have one tensor: a graph shares none."""
        owner: dict[str, int] = {}
        for number in sorted(numbers):
            for name in sorted(frozenset[str]().union(*(each.names for each in self._tensors[number].values()))):
                if owner.setdefault(name, number) != number:
                    raise ModelError(
                        f"{name} is used by two layers; hwnas shares no weights between layers: give each use its own copy"
                    )
