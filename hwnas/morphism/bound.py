"""Bound activations: an approximate operator against bit flips (our definition, after ReLU6 and FT-ClipAct [Hoang2020]).

1. A bound is drawn among those that tighten an activation of the network; a batch norm gives values of about 1 in size.
2. Every activation of the network that may exceed it is clipped there, with the weights inherited as they are.

What is never exceeded need not be stored: 8-bit values then have a smaller step, and a flipped top bit moves one by less.

A network that learns with its bounds from the first image tolerates more than one that inherits weights made without them, even
of one that was trained for longer since: so a search that bounds activations begins with bounded initial networks, too.
"""

from dataclasses import dataclass

from numpy.random import Generator

from hwnas.graph import Clip, Edit, Graph, Node
from hwnas.morphism.inheritance import Inheritance, Morphed
from hwnas.morphism.operator import Site, require_site


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundActivations:
    """Bound every activation. The one site is ``(activation,)``: the first that the smallest bound would tighten."""

    bounds: tuple[float, ...] = (2.0, 4.0)
    name: str = "bound_activations"
    exact: bool = False

    def sites(self, graph: Graph) -> tuple[Site, ...]:
        """One, where any activation may exceed the smallest bound."""
        return tuple(Site((node.id,)) for node in graph if _tightens(min(self.bounds), node))[:1]

    def apply(self, graph: Graph, site: Site, rng: Generator) -> Morphed:
        """Bound the activations; the bound is drawn uniformly among those that change something."""
        require_site(self, graph, site)
        bound = float(rng.choice([bound for bound in self.bounds if any(_tightens(bound, node) for node in graph)]))  # 1.
        return Morphed(graph=bounded(graph, bound), inheritance=Inheritance(exact=False))  # 2.


def bounded(graph: Graph, bound: float) -> Graph:
    """The network with every activation that may exceed ``bound`` clipped there."""
    edit = Edit(graph)
    for node in graph:
        if isinstance(node.op, Clip) and _tightens(bound, node):
            edit.replace(node.id, Clip(low=node.op.low, high=bound))
    return edit.done()


def _tightens(bound: float, node: Node) -> bool:
    return isinstance(node.op, Clip) and node.op.low < bound < node.op.high
