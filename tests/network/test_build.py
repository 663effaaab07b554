"""Networks built from graphs, against the same networks written by hand."""

import pytest
import torch
from torch import Tensor

from hwnas.errors import StoreError
from hwnas.graph import Add, Clip, Conv, Graph, Node, WeightedAdd
from hwnas.network import Network
from tests.export.samples import random_state
from tests.graphs import SAMPLES, Builder
from tests.network.hand_written import with_state


def batch(graph: Graph, count: int = 6) -> Tensor:
    return torch.randn(count, *graph.shapes[graph.input.id], generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", SAMPLES)
def test_evaluation_agrees(name: str) -> None:
    graph = SAMPLES[name]()
    state = random_state(graph)
    network, expected = Network(graph, state).eval(), with_state(name, graph, state).eval()
    torch.testing.assert_close(network(batch(graph)), expected(batch(graph)), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", SAMPLES)
def test_training_agrees_in_logits_gradients_and_running_statistics(name: str) -> None:
    graph = SAMPLES[name]()
    state = random_state(graph)
    network, expected = Network(graph, state), with_state(name, graph, state)
    labels = torch.arange(6)
    for model in (network, expected):
        torch.nn.functional.cross_entropy(model(batch(graph)), labels).backward()
    own = {key: value.grad for key, value in network.named_parameters() if not key.endswith("mix")}
    gradients = [value.grad for value in expected.parameters()]
    by_node = sorted(own, key=lambda key: int(key.partition(".")[0]))
    for key, gradient in zip(by_node, gradients, strict=True):
        torch.testing.assert_close(own[key], gradient, rtol=1e-4, atol=1e-5, msg=lambda text, key=key: f"{key}: {text}")
    statistics = [value for key, value in expected.named_buffers() if "running" in key]
    for (key, value), other in zip(sorted_buffers(network), statistics, strict=True):
        torch.testing.assert_close(value, other, msg=lambda text, key=key: f"{key}: {text}")


def sorted_buffers(network: Network) -> list[tuple[str, Tensor]]:
    return sorted(network.named_buffers(), key=lambda item: int(item[0].partition(".")[0]))


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("name", SAMPLES)
def test_walk_is_forward(name: str, training: bool) -> None:
    graph = SAMPLES[name]()
    network = Network(graph, random_state(graph)).train(training)
    visited, seen = [], {}

    def before(node: Node, inputs: object) -> None:
        visited.append(node.id)
        assert isinstance(inputs, list)
        seen[node.id] = [tuple(tensor.shape[1:]) for tensor in inputs]

    def after(node: Node, value: Tensor) -> Tensor:
        assert tuple(value.shape[1:]) == graph.shapes[node.id]
        return value

    walked = network.walk(batch(graph), before=before, after=after)
    torch.testing.assert_close(walked, network(batch(graph)), rtol=0, atol=0)
    assert visited == [node.id for node in graph]
    assert seen == {node.id: graph.input_shapes(node) for node in graph}


def test_a_visitor_can_replace_a_value() -> None:
    graph = SAMPLES["residual"]()
    network = Network(graph, random_state(graph)).eval()
    zeroed = network.walk(batch(graph), after=lambda node, value: torch.zeros_like(value) if node.id == graph.input.id else value)
    torch.testing.assert_close(zeroed, network(torch.zeros_like(batch(graph))))
    last = network.walk(batch(graph), after=lambda node, value: value + 1 if node.id == graph.output else value)
    torch.testing.assert_close(last, network(batch(graph)) + 1)


def test_the_logits_need_not_stand_last() -> None:
    graph = SAMPLES["residual"]()
    network = Network(graph, random_state(graph)).eval()
    assert network._program[-1].node.id == graph.output
    b = Builder(2, 4, 4)
    stem = b.conv(4)
    b.add(Add(), stem, stem, stem)
    b.add(Clip(low=-1.0, high=2.0))
    three = b.head(classes=3)
    assert Network(three, random_state(three)).eval()(batch(three)).shape == (6, 3)


@pytest.mark.parametrize("name", SAMPLES)
def test_state_round_trip(name: str) -> None:
    graph = SAMPLES[name]()
    state = random_state(graph)
    network = Network(graph, state)
    copy = network.state()
    assert {key: tuple(value.shape) for key, value in copy.items()} == graph.tensors()
    for key, value in copy.items():
        assert torch.equal(value, state[key])
        assert value.is_contiguous()
        assert not value.requires_grad
        value.zero_()
    assert all(torch.equal(value, state[key]) for key, value in network.state().items())
    learnable = {key: tuple(value.shape) for key, value in network.named_parameters()}
    assert learnable == graph.parameters()


def test_a_state_of_another_network_is_refused() -> None:
    graph = SAMPLES["flat"]()
    state = random_state(graph)
    first, second = list(state)[:2]
    with pytest.raises(StoreError, match=first):
        Network(graph, {key: value for key, value in state.items() if key != first})
    with pytest.raises(StoreError, match=r"99\.weight"):
        Network(graph, state | {"99.weight": torch.zeros(1)})
    network = Network(graph, state)
    with pytest.raises(StoreError, match=second):
        network.load(state | {second: torch.zeros(3, 1)})
    assert all(torch.equal(value, state[key]) for key, value in network.state().items())


def test_a_large_input_and_a_single_pixel() -> None:
    b = Builder(1, 1, 1)
    b.add(Conv(out_channels=2, kernel=1, padding=0, bias=True))
    tiny = b.head(classes=2)
    assert Network(tiny, random_state(tiny)).eval()(torch.ones(1, 1, 1, 1)).shape == (1, 2)


@pytest.mark.parametrize("name", SAMPLES)
def test_trains_under_autocast_in_two_precisions(name: str) -> None:
    graph = SAMPLES[name]()
    network = Network(graph, random_state(graph))
    with torch.autocast("cpu", torch.bfloat16):
        logits = network(batch(graph))
    exact = network(batch(graph))
    assert (logits - exact).abs().max() < 0.1 * exact.abs().max()
    torch.nn.functional.cross_entropy(logits.float(), torch.arange(6)).backward()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in network.parameters())


@pytest.mark.parametrize("other", ["depthwise", "batch norm"])
def test_a_weighted_add_takes_two_precisions_of_autocast(other: str) -> None:
    b = Builder(3, 8, 8)
    stem = b.conv(8)
    plain = b.add(Conv(out_channels=8, kernel=3, padding=1), stem)
    mixed = b.add(Conv(out_channels=8, kernel=3, padding=1, groups=8), stem) if other == "depthwise" else stem
    b.add(WeightedAdd(), plain, mixed)
    graph = b.head()
    with torch.autocast("cpu", torch.bfloat16):
        logits = Network(graph, random_state(graph))(batch(graph))
    assert logits.isfinite().all()
