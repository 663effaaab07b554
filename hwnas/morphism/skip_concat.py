"""Skip connection by concat: a network morphism of type II [Elsken2017, section 3; Elsken2019].

1. A layer that reads the feature map x, at once or through pooling and flatten, reads the concat of x and y instead: y has the
   same height and width and is not computed by that layer. Where x is itself a concat that nobody else reads, y joins it.
2. The layer's weights for the channels of y, the last ones, are 0.
"""

from dataclasses import dataclass

from numpy.random import Generator

from hwnas.graph import Concat, Edit, Graph, stored_tensors
from hwnas.graph.ops import Makes, Op
from hwnas.morphism.inheritance import Axis, Gap, Inheritance, Keep, Morphed, Slice
from hwnas.morphism.operator import Site, require_site


@dataclass(frozen=True, slots=True, kw_only=True)
class SkipConcat:
    """Add a skip by concat. A site is ``(reader, y)``: the node whose input becomes a concat, and what joins it."""

    name: str = "skip_concat"
    exact: bool = True

    def sites(self, graph: Graph) -> tuple[Site, ...]:
        """Every node that leads to one layer alone, with every stored feature map that may join what it reads."""
        stored = [tensor for tensor in stored_tensors(graph) if len(tensor.shape) == 3]
        below = {tensor.node: graph.ancestors(tensor.node) for tensor in stored}
        return tuple(
            Site((node.id, y.node))
            for node in graph
            if _layer(graph, node.id) is not None and len(graph.shapes[node.inputs[0]]) == 3
            for y in stored
            if node.id != y.node
            and node.id not in below[y.node]
            and y.shape[1:] == graph.shapes[node.inputs[0]][1:]
            and y.node not in _joined(graph, node.inputs[0])
        )

    def apply(self, graph: Graph, site: Site, rng: Generator) -> Morphed:
        """Put the skip in; nothing is drawn."""
        require_site(self, graph, site)
        reader, y = site.nodes
        layer = _layer(graph, reader)
        (x,) = graph[reader].inputs
        edit = Edit(graph)
        if isinstance(graph[x].op, Concat) and graph.users[x] == (reader,):  # 1.
            edit.rewire(x, *graph[x].inputs, y)
        else:
            edit.rewire(reader, edit.insert(Concat(), x, y))
        child = edit.done()
        weight = f"{layer}.weight"
        before, after = graph.tensors()[weight][1], child.tensors()[weight][1]
        inputs = Axis(axis=1, segments=(Keep(start=0, stop=before), Gap(count=after - before)))  # 2.
        plan = Inheritance(exact=True, records=(Slice(tensor=weight, source=weight, axes=(inputs,)),))
        return Morphed(graph=child, inheritance=plan)


def _layer(graph: Graph, reader: int) -> int | None:
    """The convolution (groups 1) or linear layer that alone reads what ``reader`` passes on; None where there is none."""
    while _passes(graph[reader].op) and len(graph.users[reader]) == 1:
        reader = graph.users[reader][0]
    node = graph[reader]
    return reader if isinstance(node.op.layout(graph.input_shapes(node)), Makes) else None


def _passes(op: Op) -> bool:
    """Pooling and flatten: what leaves the concat's channels apart and lies between it and the layer that weighs them."""
    return op.is_view or op.cost_kind == "pool"


def _joined(graph: Graph, x: int) -> tuple[int, ...]:
    return (x, *graph[x].inputs) if isinstance(graph[x].op, Concat) else (x,)
