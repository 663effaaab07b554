"""Insert a squeeze-and-excitation gate: a network morphism (the gate is that of Hu et al. 2018, arXiv 1709.01507; that it begins
at one is our definition).

1. A feature map x is multiplied, channel by channel, with a gate computed from x: its global average, a 1x1 convolution to a
   quarter of the channels, a ReLU, a 1x1 convolution back, a sigmoid, and the sum of that with itself.
2. The second convolution begins with weights and bias 0: the gate is 2 sigmoid(0), which is exactly 1. A hard sigmoid that begins
   at 1 would have no gradient there.
3. The first convolution is fresh: it learns from the second step on, once the second one differs from 0.
"""

from dataclasses import dataclass

from numpy.random import Generator

from hwnas.graph import Clip, Conv, Edit, GlobalAvgPool, Graph, Multiply, ScaledAdd, Sigmoid, stored_tensors
from hwnas.morphism.inheritance import Constant, Fresh, Inheritance, Morphed, Record
from hwnas.morphism.operator import Site, require_site

LEAST_CHANNELS = 8
REDUCTION = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class InsertGate:
    """Insert a gate. A site is ``(x,)``: every reader of the feature map x reads the gated map instead."""

    name: str = "insert_gate"
    exact: bool = True

    def sites(self, graph: Graph) -> tuple[Site, ...]:
        """Every stored feature map of at least eight channels and more than one pixel that is not gated yet."""
        return tuple(
            Site((tensor.node,))
            for tensor in stored_tensors(graph)[1:]
            if len(tensor.shape) == 3 and tensor.shape[0] >= LEAST_CHANNELS and tensor.shape[1:] != (1, 1)
            if not _is_gated(graph, tensor.producer, tensor.node)
        )

    def apply(self, graph: Graph, site: Site, rng: Generator) -> Morphed:
        """Put the gate in; nothing is drawn."""
        require_site(self, graph, site)
        (x,) = site.nodes
        channels = graph.shapes[x][0]
        edit = Edit(graph)
        pooled = edit.insert(GlobalAvgPool(), x)  # 1.
        squeeze = edit.insert(Conv(out_channels=max(1, channels // REDUCTION), kernel=1, padding=0, bias=True), pooled)
        excite = edit.insert(Conv(out_channels=channels, kernel=1, padding=0, bias=True), edit.insert(Clip(), squeeze))
        half = edit.insert(Sigmoid(), excite)
        gated = edit.insert(Multiply(), x, edit.insert(ScaledAdd(factors=(1.0, 1.0)), half, half))
        edit.redirect(x, gated, but=(pooled, gated))
        zero = (f"{squeeze}.bias", f"{excite}.weight", f"{excite}.bias")  # 2.
        records: list[Record] = [Constant(tensor=name, value=0.0) for name in zero]
        records.append(Fresh(tensor=f"{squeeze}.weight"))  # 3.
        return Morphed(graph=edit.done(), inheritance=Inheritance(exact=True, records=tuple(records)))


def _is_gated(graph: Graph, producer: int, node: int) -> bool:
    """Whether a feature map is a product, or one factor of a product."""
    return any(isinstance(graph[each].op, Multiply) for each in (producer, *graph.users[node]))
