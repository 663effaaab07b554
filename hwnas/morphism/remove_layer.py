"""Remove a layer: an approximate operator [Elsken2019].

1. A layer is a convolution with the batch norm and the activation that follow it alone; a depthwise convolution and the
   pointwise one behind it may go together. It can be removed where its output has the shape of its input.
2. Whoever read its output reads its input instead, and leftovers are tidied. A batch norm must not be left without its
   convolution, and the last convolution of a network stays.
"""

from dataclasses import dataclass

from numpy.random import Generator

from hwnas.graph import BatchNorm, Concat, Conv, Edit, Graph, StoredTensor, stored_tensors
from hwnas.morphism.inheritance import Inheritance, Morphed
from hwnas.morphism.operator import Site, require_site
from hwnas.morphism.tidy import tidy


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveLayer:
    """Remove a layer. A site is ``(first, last)``: the convolution it begins with and the node it ends with."""

    name: str = "remove_layer"
    exact: bool = False

    def sites(self, graph: Graph) -> tuple[Site, ...]:
        """Every layer, and every depthwise with its pointwise one, whose input and output have one shape."""
        layers = {tensor.producer: tensor for tensor in stored_tensors(graph) if isinstance(graph[tensor.producer].op, Conv)}
        sites: list[Site] = []
        for first, layer in layers.items():
            after = _pointwise(graph, layer, layers)
            spans = [(layer.node, 1), (after.node, 2)] if after else [(layer.node, 1)]
            sites.extend(Site((first, last)) for last, count in spans if count < len(layers) and _removable(graph, first, last))
        return tuple(sites)

    def apply(self, graph: Graph, site: Site, rng: Generator) -> Morphed:
        """Remove the layer; nothing is drawn."""
        require_site(self, graph, site)
        first, last = site.nodes
        edit = Edit(graph)
        edit.redirect(last, graph[first].inputs[0])  # 2.
        edit.erase_unused()
        return Morphed(graph=tidy(edit.done()), inheritance=Inheritance(exact=False))


def _pointwise(graph: Graph, layer: StoredTensor, layers: dict[int, StoredTensor]) -> StoredTensor | None:
    """The pointwise convolution that alone reads a depthwise layer."""
    op, users = graph[layer.producer].op, graph.users[layer.node]
    if not isinstance(op, Conv) or op.groups == 1 or len(users) != 1:
        return None
    after = graph[users[0]].op
    return layers[users[0]] if isinstance(after, Conv) and after.kernel == 1 else None


def _removable(graph: Graph, first: int, last: int) -> bool:
    (x,) = graph[first].inputs
    readers = [graph[user] for user in graph.users[last]]
    orphans = isinstance(graph[last].op, Conv) and any(isinstance(reader.op, BatchNorm) for reader in readers)
    repeats = any(isinstance(reader.op, Concat) and x in reader.inputs for reader in readers)
    return graph.shapes[x] == graph.shapes[last] and not orphans and not repeats
