"""Swap ReLU for hard-swish: an approximate operator (the activation is that of MobileNetV3, Howard et al. 2019, arXiv 1905.02244;
swapping it in a trained network is our definition).

1. One ReLU becomes x clip(x / 6 + 1 / 2, 0, 1), with all weights inherited as they are. Above 3 the two are the same.
"""

from dataclasses import dataclass

from numpy.random import Generator

from hwnas.graph import Clip, Edit, Graph, HardSwish
from hwnas.morphism.inheritance import Inheritance, Morphed
from hwnas.morphism.operator import Site, require_site


@dataclass(frozen=True, slots=True, kw_only=True)
class SwapActivation:
    """Swap an activation. A site is ``(relu,)``."""

    name: str = "swap_activation"
    exact: bool = False

    def sites(self, graph: Graph) -> tuple[Site, ...]:
        """Every plain ReLU."""
        return tuple(Site((node.id,)) for node in graph if isinstance(node.op, Clip) and node.op.is_relu)

    def apply(self, graph: Graph, site: Site, rng: Generator) -> Morphed:
        """Swap it; nothing is drawn."""
        require_site(self, graph, site)
        (relu,) = site.nodes
        edit = Edit(graph)
        edit.replace(relu, HardSwish())  # 1.
        return Morphed(graph=edit.done(), inheritance=Inheritance(exact=False))
