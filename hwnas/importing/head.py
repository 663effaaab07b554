"""A network for other classes: its last layer is replaced."""

import math

import torch

from hwnas.errors import ModelError
from hwnas.graph import Conv, Edit, Flatten, GlobalAvgPool, Graph, Linear
from hwnas.network import State


def with_new_head(graph: Graph, state: State, classes: int) -> tuple[Graph, State]:
    """The network with its last layer replaced by one for ``classes`` classes; all other tensors stay.

    New weights are drawn by He initialisation [He2015], always the same ones; the bias is zero. Raises ModelError where the
    network does not end in a linear layer, or a convolution whose maps are averaged.
    """
    number = graph.output
    while isinstance(graph[number].op, Flatten | GlobalAvgPool):
        (number,) = graph[number].inputs
    op = graph[number].op
    if not isinstance(op, Linear | Conv) or (isinstance(op, Conv) and op.groups > 1):
        raise ModelError(
            f"the network knows {graph.classes} classes and the data have {classes}, but it ends in a {op.kind}, which cannot be "
            "replaced; give it a linear layer as its last"
        )
    edit = Edit(graph)
    edit.replace(number, op.resized(classes - graph.classes))
    changed = edit.done()
    generator = torch.Generator().manual_seed(0)
    kept = {name: tensor for name, tensor in state.items() if not name.startswith(f"{number}.")}
    for name, shape in changed.tensors().items():
        if name.startswith(f"{number}."):
            fan_in = math.prod(shape[1:])
            drawn = torch.randn(shape, generator=generator) * math.sqrt(2.0 / fan_in)
            kept[name] = drawn if len(shape) > 1 else torch.zeros(shape)
    return changed, kept
