"""A latency from numbers alone: a roofline model of an accelerator (our definition; the roofline is [Williams2009]'s).

1. Stored tensors are computed one after another, each in max(compute time, memory time): arithmetic and transfers overlap
   within a computation, not between two.
2. Compute time: MACs over processing elements x clock, every element busy. What has no MACs (pools, adds, concats, a batch
   norm that stands alone) takes one operation for each value it reads.
3. Memory time: bytes that cross the off-chip bus over its bandwidth. The image and the logits always cross it. A computation's
   working set is what it reads, its weights and what it writes; every tensor that takes part in a computation whose working set
   exceeds the on-chip memory lives off chip, and crosses once when it is written and once for each computation that reads it.
4. Weights (batch norm folded) cross once a computation, unless all of the network's weights together with the largest set of
   activations of any computation fit on chip: then they are resident.

No stalls, no tiling, no launch cost: a lower bound of what such an accelerator takes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from hwnas.device import HardwareProfile
from hwnas.graph import Graph, LayerCost, layer_costs


@dataclass(frozen=True, slots=True, kw_only=True)
class Accelerator:
    """The five numbers of an analytic profile, in the units of their names."""

    macs_per_cycle: float
    clock_hz: float
    on_chip_bytes: float
    bytes_per_second: float
    word_bytes: float

    @classmethod
    def of(cls, profile: HardwareProfile) -> Self:
        """The accelerator of an analytic profile. Raises ProfileError where a number is missing or in another unit."""
        return cls(
            macs_per_cycle=profile.number("processing_elements", "MAC/cycle"),
            clock_hz=profile.number("clock", "Hz"),
            on_chip_bytes=profile.number("on_chip_memory", "byte"),
            bytes_per_second=profile.number("bandwidth", "byte/s"),
            word_bytes=profile.number("word", "byte"),
        )

    def latency_ms(self, graph: Graph) -> float:
        """The latency in ms of one image, positive."""
        layers = layer_costs(graph)
        off_chip = self._off_chip(graph, layers)
        resident = self._weights_stay(layers)
        sizes = {layer.stored.node: layer.output_elements for layer in layers} | {graph.input.id: _image(graph)}
        seconds = 0.0
        for layer in layers:
            crossing = [*layer.stored.reads, layer.stored.node]
            words = sum(sizes[node] for node in crossing if node in off_chip)
            words += 0 if resident else layer.weight_elements
            operations = layer.macs or layer.input_elements  # 2.
            seconds += max(  # 1.
                operations / (self.macs_per_cycle * self.clock_hz), words * self.word_bytes / self.bytes_per_second
            )
        return 1e3 * seconds

    def _off_chip(self, graph: Graph, layers: Sequence[LayerCost]) -> set[int]:
        """Stored tensors, by their node, that live off chip (3.)."""
        read = {node for layer in layers for node in layer.stored.reads}
        nodes = {graph.input.id} | {layer.stored.node for layer in layers if layer.stored.node not in read}
        for layer in layers:
            working_set = _activations(layer) + layer.weight_elements
            if working_set * self.word_bytes > self.on_chip_bytes:
                nodes |= {*layer.stored.reads, layer.stored.node}
        return nodes

    def _weights_stay(self, layers: Sequence[LayerCost]) -> bool:
        """Whether all weights fit on chip beside any computation's activations (4.)."""
        weights, activations = sum(layer.weight_elements for layer in layers), max(_activations(layer) for layer in layers)
        return (weights + activations) * self.word_bytes <= self.on_chip_bytes


def _activations(layer: LayerCost) -> int:
    return layer.input_elements + layer.output_elements


def _image(graph: Graph) -> int:
    channels, height, width = graph.shapes[graph.input.id]
    return channels * height * width
