"""Convolution to depthwise separable convolution: an approximate operator [Elsken2019].

1. A convolution (k > 1, groups 1) becomes a depthwise one, which takes over kernel, stride and padding, and a pointwise one,
   which takes over filters and bias.
2. Their weights are the best rank-1 factorisation of the old weight for each input channel (our choice).
"""

import math
from dataclasses import dataclass, replace

from numpy.random import Generator

from hwnas.graph import Conv, Edit, Graph, Node
from hwnas.morphism.inheritance import Factorised, Inheritance, Morphed
from hwnas.morphism.operator import Site, require_site


@dataclass(frozen=True, slots=True, kw_only=True)
class Separable:
    """Make a convolution separable. A site is ``(conv,)``."""

    name: str = "separable"
    exact: bool = False

    def sites(self, graph: Graph) -> tuple[Site, ...]:
        """Every convolution that would have fewer weights."""
        return tuple(Site((node.id,)) for node in graph if _saves(graph, node))

    def apply(self, graph: Graph, site: Site, rng: Generator) -> Morphed:
        """Put the two in place of the one; nothing is drawn."""
        require_site(self, graph, site)
        (conv,) = site.nodes
        op, (x,) = graph[conv].op, graph[conv].inputs
        assert isinstance(op, Conv)
        channels = graph.shapes[x][0]
        edit = Edit(graph)
        depthwise = edit.insert(replace(op, out_channels=channels, groups=channels, bias=False), x)  # 1.
        edit.replace(conv, Conv(out_channels=op.out_channels, kernel=1, padding=0, bias=op.bias))
        edit.rewire(conv, depthwise)
        record = Factorised(depthwise=f"{depthwise}.weight", pointwise=f"{conv}.weight", source=f"{conv}.weight")  # 2.
        return Morphed(graph=edit.done(), inheritance=Inheritance(exact=False, records=(record,)))


def _saves(graph: Graph, node: Node) -> bool:
    if not isinstance(node.op, Conv) or node.op.groups > 1:
        return False
    channels, window = graph.shapes[node.inputs[0]][0], math.prod(node.op.window)
    return channels * (window + node.op.out_channels) < channels * window * node.op.out_channels
