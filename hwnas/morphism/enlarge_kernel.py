"""Enlarge a kernel: a network morphism by a zero border [Wei2016].

1. A square convolution's kernel k becomes k + 2, at most 7, and its padding grows by 1: the output keeps its shape.
2. The new border of weights is 0; groups, stride and bias stay, so that depthwise convolutions grow as well.
"""

from dataclasses import dataclass, replace

from numpy.random import Generator

from hwnas.graph import Conv, Edit, Graph
from hwnas.morphism.inheritance import Axis, Gap, Inheritance, Keep, Morphed, Slice
from hwnas.morphism.kernel_reach import fits
from hwnas.morphism.operator import Site, require_site


@dataclass(frozen=True, slots=True, kw_only=True)
class EnlargeKernel:
    """Enlarge a kernel. A site is ``(conv,)``."""

    largest: int = 7
    name: str = "enlarge_kernel"
    exact: bool = True

    def sites(self, graph: Graph) -> tuple[Site, ...]:
        """Every convolution whose larger kernel suits the feature map that it reads."""
        return tuple(
            Site((node.id,))
            for node in graph
            if isinstance(node.op, Conv)
            and node.op.is_square
            and max(node.op.window) + 2 <= self.largest
            and fits(_enlarged(node.op), graph.shapes[node.inputs[0]])
        )

    def apply(self, graph: Graph, site: Site, rng: Generator) -> Morphed:
        """Enlarge the kernel; nothing is drawn."""
        require_site(self, graph, site)
        (conv,) = site.nodes
        op = graph[conv].op
        assert isinstance(op, Conv)
        edit = Edit(graph)
        edit.replace(conv, _enlarged(op))  # 1.
        border = (Gap(count=1), Keep(start=0, stop=max(op.window)), Gap(count=1))  # 2.
        weight = f"{conv}.weight"
        axes = (Axis(axis=2, segments=border), Axis(axis=3, segments=border))
        plan = Inheritance(exact=True, records=(Slice(tensor=weight, source=weight, axes=axes),))
        return Morphed(graph=edit.done(), inheritance=plan)


def _enlarged(op: Conv) -> Conv:
    """The same convolution, which is square, with a kernel two pixels wider."""
    return replace(op, kernel=max(op.window) + 2, padding=max(op.pads) + 1)
