"""Put a projection in place of a padded shortcut: an exact operator (our definition).

Where a residual block halves its size, the shortcut of a ResNet for CIFAR-10 takes every second pixel and pads the channels with
zeros [He2016, section 4.2, option A]. What is padded has a fixed number of channels, and so has everything that is added to it.

1. A convolution of 1x1 with the same stride, whose first filters or last ones are zero, computes the same (option B).
2. It begins a channel group as any other convolution does, so that the whole stage can be widened and pruned.
"""

from dataclasses import dataclass

from numpy.random import Generator

from hwnas.graph import Conv, Edit, Graph, Node
from hwnas.graph.ops import Pad, Slice
from hwnas.graph.ops.window import pair
from hwnas.morphism.inheritance import Identity, Inheritance, Morphed
from hwnas.morphism.operator import Site, require_site


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectShortcut:
    """Put a convolution in place of a padding of channels. A site is ``(pad,)``."""

    name: str = "project_shortcut"
    exact: bool = True

    def sites(self, graph: Graph) -> tuple[Site, ...]:
        """Every padding of channels with zeros, and of no pixels."""
        return tuple(Site((node.id,)) for node in graph if _pads_channels(node))

    def apply(self, graph: Graph, site: Site, rng: Generator) -> Morphed:
        """Put the convolution in place of the padding and of the steps before it that nothing else reads; nothing is drawn."""
        require_site(self, graph, site)
        (pad,) = site.nodes
        op, (x,) = graph[pad].op, graph[pad].inputs
        assert isinstance(op, Pad)
        rows, columns = 1, 1
        while (step := _step(graph, x)) is not None:
            rows, columns = rows * step[0], columns * step[1]
            (x,) = graph[x].inputs
        edit = Edit(graph)
        edit.replace(pad, Conv(out_channels=graph.shapes[pad][0], kernel=1, padding=0, stride=(rows, columns)))  # 1.
        edit.rewire(pad, x)
        edit.erase_unused()
        record = Identity(tensor=f"{pad}.weight", first=op.channels[0])
        return Morphed(graph=edit.done(), inheritance=Inheritance(exact=True, records=(record,)))


def _pads_channels(node: Node) -> bool:
    op = node.op
    return isinstance(op, Pad) and any(op.channels) and not any(op.pads) and op.value == 0


def _step(graph: Graph, node: int) -> tuple[int, int] | None:
    """The steps along height and width of a slice that takes all channels, where only one node reads it; else None."""
    op = graph[node].op
    if (
        not isinstance(op, Slice)
        or len(graph.users[node]) != 1
        or graph.shapes[node][0] != graph.shapes[graph[node].inputs[0]][0]
    ):
        return None
    return pair(op.step)
