"""Widen a channel group: a network morphism of type II [Elsken2017, section 3; Elsken2019].

1. A group of w channels becomes one of 1.25 w, 1.5 w or 2 w, rounded up (above 8 to a multiple of 8; our definition).
2. Every layer that makes these channels gets fresh filters; a depthwise convolution fresh windows; biases are 0; batch norms
   get scale 1, offset 0, mean 0 and variance 1.
3. Every layer outside that reads these channels weighs the new ones with 0. A layer of the group that reads it too (in a
   residual block) does so for its old filters only: were its new ones 0 as well, they would never learn.
"""

from dataclasses import dataclass

from numpy.random import Generator

from hwnas.graph import Edit, Graph
from hwnas.morphism.channel_groups import Change, channel_groups, resize
from hwnas.morphism.inheritance import Gap, Inheritance, Keep, Morphed, Segment
from hwnas.morphism.operator import Site, require_site
from hwnas.morphism.widths import wider


@dataclass(frozen=True, slots=True, kw_only=True)
class Widen:
    """Widen a channel group. A site is ``(layer,)``: the first layer whose filters the group's channels are."""

    factors: tuple[float, ...] = (1.25, 1.5, 2.0)
    name: str = "widen"
    exact: bool = True

    def sites(self, graph: Graph) -> tuple[Site, ...]:
        """Every channel group."""
        return tuple(Site((group.producers[0],)) for group in channel_groups(graph))

    def apply(self, graph: Graph, site: Site, rng: Generator) -> Morphed:
        """Widen the group; the factor is drawn uniformly."""
        require_site(self, graph, site)
        group = next(group for group in channel_groups(graph) if group.producers[0] == site.nodes[0])
        more = wider(group.width, float(rng.choice(self.factors))) - group.width  # 1.

        def run(start: int, block: int) -> tuple[Segment, ...]:
            return (Keep(start=start, stop=start + group.width * block), Gap(count=more * block))

        edit = Edit(graph)
        records = resize(edit, graph, [Change(group=group, more=more, run=run)])  # 2. and 3.
        return Morphed(graph=edit.done(), inheritance=Inheritance(exact=True, records=records))
