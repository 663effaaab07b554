"""Prune many channel groups in one step: an approximate operator (our definition).

1. The same share goes from every group of more than 8 channels, or from those of them that a coin chooses; a multiple of 8 is
   left. So a large network has a child of half the work in one proposal, not in one for each of its groups.
2. Which channels stay is decided as for one group: by the L1 norm of the filters of its first layer.
"""

from dataclasses import dataclass

from numpy.random import Generator

from hwnas.graph import Edit, Graph
from hwnas.morphism.channel_groups import Change, ChannelGroup, Run, channel_groups, resize
from hwnas.morphism.inheritance import Chosen, Inheritance, Morphed, Segment, TopK
from hwnas.morphism.operator import Site, require_site
from hwnas.morphism.widths import narrower

LEAST_GROUPS, ALWAYS = 2, 8  # so many groups are worth it; so many channels a group keeps in any case


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneGroups:
    """Prune many groups at once. There is one site: the first layers of all groups of more than 8 channels, if there are two."""

    shares: tuple[float, ...] = (0.125, 0.25, 0.5)
    name: str = "prune_groups"
    exact: bool = False

    def sites(self, graph: Graph) -> tuple[Site, ...]:
        """The whole network."""
        groups = _wide(graph)
        return (Site(tuple(group.producers[0] for group in groups)),) if len(groups) >= LEAST_GROUPS else ()

    def apply(self, graph: Graph, site: Site, rng: Generator) -> Morphed:
        """Prune; the share, whether all groups are pruned, and else which of them, are drawn uniformly."""
        require_site(self, graph, site)
        share, groups = float(rng.choice(self.shares)), _wide(graph)
        if rng.random() < 0.5:
            drawn = rng.random(len(groups)) < 0.5
            groups = [group for group, is_drawn in zip(groups, drawn, strict=True) if is_drawn] or groups
        changes, sets = [], []
        for number, group in enumerate(groups):
            kept, width = f"kept{number}", narrower(group.width, share)  # 1.
            changes.append(Change(group=group, more=width - group.width, run=_chosen(kept)))
            sets.append(TopK(name=kept, source=f"{group.producers[0]}.weight", count=width))  # 2.
        edit = Edit(graph)
        records = resize(edit, graph, changes)
        return Morphed(graph=edit.done(), inheritance=Inheritance(exact=False, records=records, index_sets=tuple(sets)))


def _wide(graph: Graph) -> list[ChannelGroup]:
    return [group for group in channel_groups(graph) if group.width > ALWAYS]


def _chosen(index_set: str) -> Run:
    def run(start: int, block: int) -> tuple[Segment, ...]:
        return (Chosen(index_set=index_set, start=start, block=block),)

    return run
