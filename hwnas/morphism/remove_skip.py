"""Remove a skip connection: an approximate operator [Elsken2019].

1. An add, weighted add or concat loses one of its inputs; with a single one left it goes. What only led there goes too.
2. Behind a concat, every tensor loses its entries for the dropped channels. Where these channels are tied to others (by an
   add) or have a fixed width (before a grouped convolution), the input cannot be dropped.
"""

from dataclasses import dataclass

from numpy.random import Generator

from hwnas.graph import Add, Concat, Edit, Graph, WeightedAdd
from hwnas.morphism.channel_groups import Change, read_channels, resize
from hwnas.morphism.inheritance import Inheritance, Morphed, Slice
from hwnas.morphism.operator import Site, require_site
from hwnas.morphism.tidy import tidy


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveSkip:
    """Remove a skip. A site is ``(join, position)``: the node that joins tensors and which of its inputs is dropped."""

    name: str = "remove_skip"
    exact: bool = False

    def sites(self, graph: Graph) -> tuple[Site, ...]:
        """Every input of every add and weighted add, and those of concats that can be dropped."""
        return tuple(
            Site((node.id, position))
            for node in graph
            if isinstance(node.op, Add | WeightedAdd | Concat)
            for position in range(len(node.inputs))
            if not isinstance(node.op, Concat) or read_channels(graph, node.id, position) is not None
        )

    def apply(self, graph: Graph, site: Site, rng: Generator) -> Morphed:
        """Drop the input; nothing is drawn."""
        require_site(self, graph, site)
        join, position = site.nodes
        left = graph[join].inputs[:position] + graph[join].inputs[position + 1 :]
        edit = Edit(graph)
        records: tuple[Slice, ...] = ()
        group = read_channels(graph, join, position) if isinstance(graph[join].op, Concat) else None
        if group is not None:  # 2.
            records = resize(edit, graph, [Change(group=group, more=-group.width, run=lambda start, block: ())])
        if len(left) > 1:  # 1.
            edit.rewire(join, *left)
        else:
            edit.redirect(join, left[0])
        edit.erase_unused()
        return Morphed(graph=tidy(edit.done()), inheritance=Inheritance(exact=False, records=records))
