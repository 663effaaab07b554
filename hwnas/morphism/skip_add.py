"""Skip connection by weighted add: a network morphism of type IV [Elsken2017, section 3; Elsken2019].

1. For two feature maps x and y of one shape (more than one pixel, where a global average pool would be the same tensor), y
   not computed from x, (1 - mix) x + mix y is put after x.
2. ``mix`` is learnt and begins at 0: the output is x, and the gradient of mix, <gradient of the output, y - x>, is alive
   since x and y differ.
"""

from dataclasses import dataclass

from numpy.random import Generator

from hwnas.graph import Add, Edit, Graph, WeightedAdd, stored_tensors
from hwnas.morphism.inheritance import Constant, Inheritance, Morphed
from hwnas.morphism.operator import Site, require_site


@dataclass(frozen=True, slots=True, kw_only=True)
class SkipAdd:
    """Add a skip by weighted add. A site is ``(x, y)``: every reader of x reads the sum of x and y instead."""

    name: str = "skip_add"
    exact: bool = True

    def sites(self, graph: Graph) -> tuple[Site, ...]:
        """Every pair of stored feature maps of one shape that are not yet added to one another."""
        stored = [tensor for tensor in stored_tensors(graph) if len(tensor.shape) == 3 and tensor.shape[1:] != (1, 1)]
        below = {tensor.node: graph.ancestors(tensor.node) for tensor in stored}
        return tuple(
            Site((x.node, y.node))
            for x in stored
            for y in stored
            if x.node != y.node and x.shape == y.shape and x.node not in below[y.node] and not _added(graph, x.node, y.node)
        )

    def apply(self, graph: Graph, site: Site, rng: Generator) -> Morphed:
        """Put the skip in; nothing is drawn."""
        require_site(self, graph, site)
        x, y = site.nodes
        edit = Edit(graph)
        total = edit.insert(WeightedAdd(), x, y)  # 1.
        edit.redirect(x, total, but=(total,))
        plan = Inheritance(exact=True, records=(Constant(tensor=f"{total}.mix", value=0.0),))  # 2.
        return Morphed(graph=edit.done(), inheritance=plan)


def _added(graph: Graph, x: int, y: int) -> bool:
    sums = [graph[i] for i in (x, *graph.users[x]) if isinstance(graph[i].op, Add | WeightedAdd)]
    return any(y in total.inputs for total in sums)
