"""Prune a channel group: an approximate operator [Elsken2019].

1. A half or a quarter of a group's channels goes (above 8 a multiple of 8 is left; our definition).
2. Which ones stay is our choice: those whose filters have the largest L1 norm in the group's first layer; the other tensors
   of the group and all who read it keep the same ones.
"""

from dataclasses import dataclass

from numpy.random import Generator

from hwnas.graph import Edit, Graph
from hwnas.morphism.channel_groups import Change, channel_groups, resize
from hwnas.morphism.inheritance import Chosen, Inheritance, Morphed, Segment, TopK
from hwnas.morphism.operator import Site, require_site
from hwnas.morphism.widths import narrower

_KEPT = "kept"


@dataclass(frozen=True, slots=True, kw_only=True)
class Prune:
    """Prune a channel group. A site is ``(layer,)``: the first layer whose filters the group's channels are."""

    shares: tuple[float, ...] = (0.5, 0.25)
    name: str = "prune"
    exact: bool = False

    def sites(self, graph: Graph) -> tuple[Site, ...]:
        """Every channel group of at least two channels."""
        return tuple(Site((group.producers[0],)) for group in channel_groups(graph) if group.width > 1)

    def apply(self, graph: Graph, site: Site, rng: Generator) -> Morphed:
        """Prune the group; the share removed is drawn uniformly."""
        require_site(self, graph, site)
        group = next(group for group in channel_groups(graph) if group.producers[0] == site.nodes[0])
        width = narrower(group.width, float(rng.choice(self.shares)))  # 1.

        def run(start: int, block: int) -> tuple[Segment, ...]:
            return (Chosen(index_set=_KEPT, start=start, block=block),)

        edit = Edit(graph)
        records = resize(edit, graph, [Change(group=group, more=width - group.width, run=run)])
        kept = TopK(name=_KEPT, source=f"{group.producers[0]}.weight", count=width)  # 2.
        return Morphed(graph=edit.done(), inheritance=Inheritance(exact=False, records=records, index_sets=(kept,)))
