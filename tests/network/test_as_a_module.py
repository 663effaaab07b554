"""A network is a torch module like any other: moved, copied, and called with other tensors."""

import copy
import pickle

import pytest
import torch
from torch import Tensor

from hwnas.graph import Graph
from hwnas.network import Network
from tests.export.samples import random_state
from tests.graphs import SAMPLES

SAMPLE = pytest.mark.parametrize("name", SAMPLES)


def batch(graph: Graph) -> Tensor:
    return torch.randn(3, *graph.shapes[graph.input.id], generator=torch.Generator().manual_seed(1))


@SAMPLE
@pytest.mark.parametrize("training", [False, True])
def test_it_runs_where_it_was_moved_to(name: str, training: bool) -> None:
    graph = SAMPLES[name]()
    network = Network(graph, random_state(graph)).train(training).to("meta")
    assert network(batch(graph).to("meta")).shape == (3, graph.classes)
    assert network.walk(batch(graph).to("meta")).device.type == "meta"


@SAMPLE
def test_another_precision(name: str) -> None:
    graph = SAMPLES[name]()
    network = Network(graph, random_state(graph)).eval()
    expected = network(batch(graph))
    torch.testing.assert_close(network.double()(batch(graph).double()).float(), expected, rtol=1e-4, atol=1e-5)


@SAMPLE
def test_functional_call_uses_the_tensors_that_it_is_given(name: str) -> None:
    graph = SAMPLES[name]()
    network, other = Network(graph, random_state(graph)).eval(), random_state(graph, seed=1)
    got = torch.func.functional_call(network, other, batch(graph))
    torch.testing.assert_close(got, Network(graph, other).eval()(batch(graph)))
    torch.testing.assert_close(network(batch(graph)), Network(graph, random_state(graph)).eval()(batch(graph)), rtol=0, atol=0)


@SAMPLE
def test_assigned_tensors_are_used(name: str) -> None:
    graph = SAMPLES[name]()
    network, other = Network(graph, random_state(graph)).eval(), random_state(graph, seed=1)
    network.load_state_dict(other, assign=True)
    torch.testing.assert_close(network(batch(graph)), Network(graph, other).eval()(batch(graph)))


def test_a_copy_has_tensors_of_its_own() -> None:
    graph = SAMPLES["dense"]()
    network = Network(graph, random_state(graph)).eval()
    expected = network(batch(graph))
    copied = copy.deepcopy(network)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
    torch.testing.assert_close(copied(batch(graph)), expected, rtol=0, atol=0)
    assert not torch.equal(network(batch(graph)), expected)


def test_a_network_comes_back_from_a_pickle() -> None:
    graph = SAMPLES["dense"]()
    network = Network(graph, random_state(graph)).eval()
    other = pickle.loads(pickle.dumps(network))  # noqa: S301
    torch.testing.assert_close(other(batch(graph)), network(batch(graph)), rtol=0, atol=0)


def test_an_averaged_model_computes_with_the_average_of_the_weights() -> None:
    graph = SAMPLES["plain"]()
    network = Network(graph, random_state(graph)).eval()
    averaged = torch.optim.swa_utils.AveragedModel(network).eval()
    averaged.update_parameters(network)  # the first is taken over
    taken_over = averaged(batch(graph))
    torch.testing.assert_close(taken_over, network(batch(graph)), rtol=0, atol=0)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(3)
    averaged.update_parameters(network)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(2 / 3)
    torch.testing.assert_close(averaged(batch(graph)), network(batch(graph)))
    assert not torch.allclose(averaged(batch(graph)), taken_over)
