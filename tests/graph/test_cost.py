import math
import warnings
from collections.abc import Callable, Iterator

import pytest
import torch
from hypothesis import given, settings

from hwnas.graph import Graph, canonical_order, cost, layer_costs, stored_tensors
from hwnas.network import Network
from tests.chains import grown_graphs
from tests.graphs import SAMPLES


@pytest.fixture(scope="module")
def count_macs() -> Iterator[Callable[[Graph], int]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # fvcore scripts with torch.jit, which torch 2.13 calls deprecated
        from fvcore.nn import FlopCountAnalysis

        def count(graph: Graph) -> int:
            flops = FlopCountAnalysis(Network(graph).eval(), torch.zeros(1, *graph.shapes[graph.input.id]))
            flops.unsupported_ops_warnings(False).uncalled_modules_warnings(False).tracer_warnings("none")
            entries = flops.by_operator()
            return int(entries["conv"] + entries["linear"])

        yield count


@pytest.mark.parametrize("name", SAMPLES)
def test_macs_are_those_of_fvcore(name: str, count_macs: Callable[[Graph], int]) -> None:
    graph = SAMPLES[name]()
    assert cost(graph).macs == count_macs(graph)


@settings(deadline=None, derandomize=True, max_examples=30)
@given(graph=grown_graphs())
def test_shapes_and_parameters_are_those_of_torch(graph: Graph) -> None:
    network = Network(graph).eval()
    seen: dict[int, tuple[int, ...]] = {}
    with torch.no_grad():
        network.walk(
            torch.zeros(2, *graph.shapes[graph.input.id]),
            after=lambda node, value: seen.update({node.id: tuple(value.shape[1:])}) or value,
        )
    assert seen == dict(graph.shapes)
    assert cost(graph).parameters == sum(parameter.numel() for parameter in network.parameters())


def test_a_small_network_by_hand() -> None:
    """The flat sample: 1x8x8 -> conv 4, stride 2 -> 4x4x4 -> conv 8, kernel 1 -> 8x4x4 -> 10 logits."""
    found = cost(SAMPLES["flat"]())
    weights = (4 * 9 + 4) + (4 * 8 + 8) + (128 * 10 + 10)  # batch norms folded to biases
    assert found.macs == 64 * 9 + 128 * 4 + 1280
    assert found.parameters == 4 * 9 + 8 + 4 * 8 + 16 + 1290
    assert found.weight_bytes == 4 * weights
    assert found.bytes_read == 4 * (weights + 64 + 64 + 128)
    assert found.bytes_written == 4 * (64 + 128 + 10)
    assert found.peak_bytes == 4 * (64 + 128)
    assert found.memory_kb == pytest.approx(4 * (64 + 128 + weights) / 1000)


@settings(deadline=None, derandomize=True, max_examples=40)
@given(graph=grown_graphs())
def test_peak_memory_by_brute_force(graph: Graph) -> None:
    """At each step, whatever is being computed and whatever was and is still to be read, this step's inputs included."""
    order = [node.id for node in canonical_order(graph)]
    stored = sorted(stored_tensors(graph), key=lambda tensor: order.index(tensor.node))
    peak = 0
    for step in range(len(stored)):
        later = {source for tensor in stored[step:] for source in tensor.reads}
        live = [tensor for place, tensor in enumerate(stored[: step + 1]) if place == step or tensor.node in later]
        peak = max(peak, sum(math.prod(tensor.shape) for tensor in live))
    assert cost(graph).peak_bytes == 4 * peak


def test_layers_add_up() -> None:
    for make in SAMPLES.values():
        graph = make()
        layers = layer_costs(graph)
        assert [layer.stored for layer in layers] == list(stored_tensors(graph)[1:])
        assert sum(layer.macs for layer in layers) == cost(graph).macs
        assert {layer.kind for layer in layers if layer.macs} == {"conv", "linear"}
