"""What every operation promises, each checked for each of them: no table without a row, no answer that is only claimed."""

import copy
import dataclasses
import math

import numpy as np
import onnx
import pytest
import torch

from hwnas.deployed import Program
from hwnas.errors import GraphError
from hwnas.export import emit
from hwnas.graph import OPS, Graph, Node, Op, architecture_id, from_json, register_op, stored_tensors, to_json
from hwnas.graph.ops import OUTPUT
from hwnas.injection import FastSimulator, NaiveSimulator, Upset
from hwnas.morphism import OPERATORS
from hwnas.morphism.from_scratch import from_scratch
from hwnas.network import COMPUTE, Network, computation, transfer
from hwnas.resilience import relevance_shares
from tests.chains import EXACT
from tests.export.samples import images, onnx_logits, random_state, statistics, torch_logits
from tests.morphism.states import assert_same_function, child_of, images_for, state_for
from tests.ops.op_cases import CASES

CASE = pytest.mark.parametrize("name", CASES)
# Each operation once with each shape of its inputs.
_SEEN = {(node.op, *graph.input_shapes(node)): (name, node) for name in CASES for graph in [CASES[name]()] for node in graph}
NODES = [(name, node) for name, node in _SEEN.values() if node.inputs]
NODE = pytest.mark.parametrize(("name", "node"), NODES, ids=[f"{name}-{node.op.kind}-{node.id}" for name, node in NODES])


def computed(op: Op, shapes: list[tuple[int, ...]], inputs: list[torch.Tensor], seed: int = 0) -> torch.Tensor:
    """What torch computes in eval mode with random tensors; variances are positive."""
    generator = torch.Generator().manual_seed(seed)
    tensors = [
        torch.rand(shape, generator=generator) + 0.1 if name == "running_var" else torch.randn(shape, generator=generator)
        for name, shape in op.tensors(shapes).items()
    ]
    return computation(op)(inputs, tensors, False)


def inputs_of(graph: Graph, node: Node, seed: int = 1) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(2, *shape, generator=generator) for shape in graph.input_shapes(node)]


def test_every_operation_has_a_case_and_a_function() -> None:
    kinds = {node.op.kind for make in CASES.values() for node in make()}
    assert kinds == set(OPS)
    assert {op.kind for op in COMPUTE} == set(OPS) - {"input"}


@NODE
def test_the_shape_is_that_of_what_torch_computes(name: str, node: Node) -> None:
    graph = CASES[name]()
    out = computed(node.op, graph.input_shapes(node), inputs_of(graph, node))
    assert tuple(out.shape[1:]) == graph.shapes[node.id]


@CASE
def test_json_and_a_copy_give_the_graph_back(name: str) -> None:
    graph = CASES[name]()
    assert from_json(to_json(graph)) == graph
    assert architecture_id(from_json(to_json(graph))) == architecture_id(graph)
    assert copy.deepcopy([node.op for node in graph]) == [node.op for node in graph]


@pytest.mark.parametrize("normalised", [False, True])
@CASE
def test_onnx_runtime_computes_what_torch_computes(name: str, normalised: bool) -> None:
    graph = CASES[name]()
    state = random_state(graph)
    mean, std = statistics(graph) if normalised else (None, None)
    model = emit(graph, state, mean=mean, std=std)
    onnx.checker.check_model(model, full_check=True)
    expected = torch_logits(graph, state, images(graph), normalised=normalised)
    got = onnx_logits(model, images(graph))
    assert np.abs(got - expected).max() <= 1e-5 * max(1.0, np.abs(expected).max())


@NODE
def test_the_onnx_form_names_what_there_is(name: str, node: Node) -> None:
    shapes = CASES[name]().input_shapes(node)
    form = node.op.onnx(shapes)
    known = {"", *(f"x{place}" for place in range(len(shapes))), *node.op.tensors(shapes), *form.constants}
    assert len(known) == 1 + len(shapes) + len(node.op.tensors(shapes)) + len(form.constants)  # no name for two things
    for part in form.nodes:
        assert set(part.inputs) <= known
        known.add(part.output)
    assert form.nodes[-1].output == OUTPUT


@NODE
def test_relevance_is_shared_out(name: str, node: Node) -> None:
    elements = [math.prod(shape) for shape in CASES[name]().input_shapes(node)]
    shares = node.op.relevance(elements)
    assert len(shares) == len(elements)
    assert min(shares) >= 0
    assert sum(shares) == pytest.approx(1)


@CASE
def test_the_image_receives_all_relevance(name: str) -> None:
    graph = CASES[name]()
    shares = relevance_shares(graph)
    assert shares[graph.input.id] == pytest.approx(1)
    assert all(0 < share <= 1 + 1e-9 for share in shares.values())


@NODE
def test_non_negative_is_no_empty_claim(name: str, node: Node) -> None:
    graph = CASES[name]()
    for known in ([False] * len(node.inputs), [True] * len(node.inputs)):
        if node.op.non_negative(known):
            inputs = [tensor.abs() if yes else tensor for tensor, yes in zip(inputs_of(graph, node), known, strict=True)]
            for seed in range(5):
                assert float(computed(node.op, graph.input_shapes(node), inputs, seed).min()) >= 0


@NODE
def test_channelwise_operations_keep_channels_apart(name: str, node: Node) -> None:
    graph = CASES[name]()
    shapes, inputs = graph.input_shapes(node), inputs_of(graph, node)
    before = computed(node.op, shapes, inputs)
    touched = [tensor.clone() for tensor in inputs]
    for tensor in touched:
        tensor[:, 1] += 1.0
    changed = (computed(node.op, shapes, touched) != before).flatten(2 if before.dim() > 2 else 1)
    rows = changed.any(2).any(0) if changed.dim() > 2 else changed.any(0)
    if node.op.channelwise:
        assert before.shape[1] == inputs[0].shape[1]
        assert rows.nonzero().flatten().tolist() in ([], [1])


@NODE
def test_scales_through_is_no_empty_claim(name: str, node: Node) -> None:
    graph = CASES[name]()
    if node.op.scales_through:
        (x,) = inputs_of(graph, node)
        shapes = graph.input_shapes(node)
        torch.testing.assert_close(computed(node.op, shapes, [3.0 * x]), 3.0 * computed(node.op, shapes, [x]))


@NODE
def test_a_new_one_learns(name: str, node: Node) -> None:
    """Every learnable tensor, begun as the operation says, has a gradient on random inputs."""
    graph = CASES[name]()
    shapes = graph.input_shapes(node)
    learnable = node.op.parameters(shapes)
    generator = torch.Generator().manual_seed(0)
    values = {"zeros": torch.zeros, "ones": torch.ones, "fresh": lambda shape: torch.randn(shape, generator=generator)}
    tensors = [values[node.op.initial(key)](shape) for key, shape in node.op.tensors(shapes).items()]  # type: ignore[operator]
    for key, tensor in zip(node.op.tensors(shapes), tensors, strict=True):
        tensor.requires_grad_(key in learnable)
    out = computation(node.op)(inputs_of(graph, node), tensors, True)
    if learnable:
        (out * torch.randn(out.shape, generator=generator)).sum().backward()
        for tensor in tensors[: len(learnable)]:
            assert tensor.grad is not None
            assert float(tensor.grad.abs().max()) > 0


@CASE
def test_a_step_of_training_and_another_device(name: str) -> None:
    graph = CASES[name]()
    state = transfer([(graph, from_scratch(graph))], {}, torch.Generator().manual_seed(0))
    network = Network(graph, state)
    pictures, labels = images_for(graph, 8)
    torch.nn.functional.cross_entropy(network(pictures), labels).backward()
    assert all(bool(torch.isfinite(p.grad).all()) for p in network.parameters() if p.grad is not None)
    assert Network(graph).to("meta")(pictures.to("meta")).shape == (8, graph.classes)


@CASE
def test_a_program_computes_it_and_the_fast_engine_answers_as_the_naive_one(name: str) -> None:
    graph = CASES[name]()
    mean, std = statistics(graph)
    made, pictures = Program.of(graph, random_state(graph), mean=mean, std=std), images(graph, 4)
    expected = torch_logits(graph, random_state(graph), pictures, normalised=True)
    np.testing.assert_allclose(made.run(pictures).numpy(), expected, rtol=1e-4, atol=1e-4)
    naive, fast = NaiveSimulator(made, pictures), FastSimulator(made, pictures)
    rng = np.random.default_rng(0)
    for tensor in made.memory.population.tensors:
        for bit in (3, 22, 26, 29, 30, 31):
            index = made.memory.population.index(tensor=tensor.name, element=int(rng.integers(tensor.size)), bit=bit)
            changes = made.memory.flipped(np.array([index]))
            np.testing.assert_array_equal(fast.weights(changes).classes, naive.weights(changes).classes, err_msg=str(changes))
    for number, step in enumerate(made.steps):
        hit = [Upset(image=0, element=int(rng.integers(step.tensor.elements)), mask=1 << bit) for bit in (22, 28)]
        np.testing.assert_array_equal(fast.activations(number, hit).classes, naive.activations(number, hit).classes)


@CASE
def test_operators_work_on_graphs_with_it(name: str) -> None:
    """An exact operator computes the same at each of its sites, an approximate one makes a network that runs."""
    graph = CASES[name]()
    pictures, _ = images_for(graph, 32)
    state = state_for(graph, pictures)
    parent, rng = Network(graph, state), np.random.default_rng(0)
    for operator in OPERATORS.values():
        sites = operator.sites(graph)
        for index in rng.permutation(len(sites))[:4]:
            child = child_of(state, [operator.apply(graph, sites[index], rng)], pictures)
            if operator in EXACT:
                assert_same_function(parent, child, pictures)
            else:
                assert bool(torch.isfinite(child.eval()(pictures)).all())


@CASE
def test_stored_tensors_cover_the_graph(name: str) -> None:
    graph = CASES[name]()
    stored = stored_tensors(graph)
    members = [node for tensor in stored for node in tensor.nodes]
    views = [node.id for node in graph if node.op.is_view]
    assert sorted(members + views) == sorted(node.id for node in graph)
    assert all(math.prod(graph.shapes[tensor.node]) == tensor.elements for tensor in stored)


def test_an_operation_that_does_not_say_is_refused() -> None:
    @dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
    class Silent(Op):
        kind = "silent"

        def shape(self, inputs):
            return inputs[0]

        def onnx(self, inputs):
            raise NotImplementedError

    with pytest.raises(GraphError, match="layout, relevance"):
        register_op(Silent)


def test_two_operations_of_one_kind_are_refused() -> None:
    @dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
    class Other(type(CASES["sigmoid"]().nodes[1].op)):
        pass

    with pytest.raises(GraphError, match="registered already"):
        register_op(Other)
