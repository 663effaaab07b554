"""Insert Conv-BN-ReLU: a network morphism of type I [Elsken2017, section 3; Elsken2019].

1. After any feature map x a convolution with x's channel count, stride 1 and kernel 1, 3 or 5 is put; its weight is the
   identity (Dirac). In the separable form a depthwise and a pointwise convolution, both the identity.
2. A batch norm follows, calibrated (our definition): it passes its input on, in training mode too.
3. A ReLU follows where x is provably non-negative, so that it changes nothing.
"""

from dataclasses import dataclass

from numpy.random import Generator

from hwnas.graph import BatchNorm, Clip, Conv, Edit, Graph, stored_tensors
from hwnas.morphism.inheritance import Calibrated, Identity, Inheritance, Morphed, Record
from hwnas.morphism.kernel_reach import fits
from hwnas.morphism.non_negative import non_negative
from hwnas.morphism.operator import Site, require_site


@dataclass(frozen=True, slots=True, kw_only=True)
class InsertConvolution:
    """Insert Conv-BN-ReLU. A site is ``(x,)``: the node after which it goes; every reader of x reads the new layer instead."""

    kernels: tuple[int, ...] = (1, 3, 5)
    name: str = "insert_convolution"
    exact: bool = True

    def sites(self, graph: Graph) -> tuple[Site, ...]:
        """After every stored feature map of more than one pixel, the image itself left out."""
        return tuple(
            Site((tensor.node,)) for tensor in stored_tensors(graph)[1:] if len(tensor.shape) == 3 and tensor.shape[1:] != (1, 1)
        )

    def apply(self, graph: Graph, site: Site, rng: Generator) -> Morphed:
        """Put the layer in; kernel (of those that suit the map) and form (plain or separable) are drawn uniformly."""
        require_site(self, graph, site)
        (x,) = site.nodes
        channels = graph.shapes[x][0]
        kernel = int(rng.choice([k for k in self.kernels if fits(_conv(channels, k, 1), graph.shapes[x])]))
        depthwise = kernel > 1 and bool(rng.integers(2))
        edit = Edit(graph)
        convolutions = [_conv(channels, kernel, channels if depthwise else 1)]  # 1.
        if depthwise:
            convolutions.append(_conv(channels, 1, 1))
        last, added = x, []
        for convolution in convolutions:
            last = edit.insert(convolution, last)
            added.append(last)
        norm = last = edit.insert(BatchNorm(), last)  # 2.
        if x in non_negative(graph):  # 3.
            last = edit.insert(Clip(), last)
        edit.redirect(x, last, but=(added[0],))
        records: list[Record] = [Identity(tensor=f"{node}.weight") for node in added]
        records.append(Calibrated(node=norm))
        return Morphed(graph=edit.done(), inheritance=Inheritance(exact=True, records=tuple(records)))


def _conv(channels: int, kernel: int, groups: int) -> Conv:
    return Conv(out_channels=channels, kernel=kernel, padding=kernel // 2, groups=groups)
