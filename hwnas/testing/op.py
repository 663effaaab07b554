"""What an operation promises: it can be stored, its ONNX form and its faults are those of what torch computes."""

from collections.abc import Callable

import numpy as np
import torch

from hwnas.deployed import Program
from hwnas.device import HardwareProfile, Provider, Runtime
from hwnas.export import emit, runtime
from hwnas.graph import OPS, BatchNorm, Clip, Conv, Flatten, Graph, Input, Linear, Node, Op, architecture_id, from_json, to_json
from hwnas.injection import FastSimulator, NaiveSimulator, Upset
from hwnas.morphism import OPERATORS
from hwnas.network import COMPUTE, Network, State
from hwnas.resilience import relevance_shares
from hwnas.testing.operator import check_operator
from hwnas.testing.promise import promise

TOLERANCE = 1e-5  # of the largest logit, at least 1
CLASSES, IMAGES, BITS = 3, 4, (3, 22, 28, 30)
MEAN, STD = (0.4, 0.6), (0.25, 0.5)
HERE = HardwareProfile(
    name="here",
    description="this machine's CPU, every node computed as the file says",
    kind="onnxruntime",
    runtime=Runtime(providers=(Provider(name="CPUExecutionProvider"),), threads=1, optimise=False),
)


def check_op(op: Op, graph: Graph | None = None) -> None:
    """Check a registered operation in ``graph``, by default one in which it works on one feature map (4, 9, 7).

    1. It is known by its kind and has a function of torch's; a graph that has it can be stored, and keeps its id.
    2. What torch computes has the shape it says.
    3. Its ONNX form computes the same, within 1e-5 of the largest logit.
    4. Its shares of relevance add up.
    5. Operators keep their promises on graphs that have it.
    6. The fast fault engine answers as the naive one.
    """
    graph = graph or _on_map(op)
    promise(any(node.op == op for node in graph), f"the graph has no {op}")
    promise(OPS.get(op.kind) is type(op), f"{op.kind} is not registered: hwnas.register_op")  # 1.
    promise(type(op) in COMPUTE, f"{op.kind} has no function: hwnas.register_compute")
    again = from_json(to_json(graph))
    promise(again == graph and architecture_id(again) == architecture_id(graph), f"{op.kind} is not stored as it is")
    state = _state(graph)
    images = torch.rand(IMAGES, *graph.shapes[graph.input.id], generator=torch.Generator().manual_seed(7))
    with torch.no_grad():
        expected = np.asarray(Network(graph, state).eval()(images))
    promise(expected.shape == (IMAGES, graph.classes), f"{op.kind}: the logits have shape {expected.shape}")  # 2.
    got = runtime(HERE)(emit(graph, state), np.asarray(images))
    error = float(np.abs(got - expected).max())
    promise(error <= TOLERANCE * max(1.0, float(np.abs(expected).max())), f"{op.kind}: its ONNX form is off by {error:.3g}")  # 3.
    shares = op.relevance([8] * len(next(node for node in graph if node.op == op).inputs))
    promise(min(shares) >= 0 and abs(sum(shares) - 1) < 1e-9, f"{op.kind}: shares of relevance {shares} do not add up to 1")  # 4.
    promise(min(relevance_shares(graph).values()) >= 0, f"{op.kind}: a share of relevance is below 0")
    for operator in OPERATORS.values():  # 5.
        if operator.sites(graph):
            check_operator(operator.name, [graph])
    _check_faults(op, graph, state, images)


def _check_faults(op: Op, graph: Graph, state: State, images: torch.Tensor) -> None:
    """6. Single bits of each tensor in memory, and of each stored tensor of an image."""
    channels = graph.shapes[graph.input.id][0]
    program = Program.of(graph, state, mean=MEAN[:channels], std=STD[:channels])
    naive, fast = NaiveSimulator(program, images), FastSimulator(program, images)
    rng = np.random.default_rng(0)
    for tensor in program.memory.population.tensors:
        for bit in BITS:
            element = int(rng.integers(tensor.size))
            index = program.memory.population.index(tensor=tensor.name, element=element, bit=bit)
            changes = program.memory.flipped(np.array([index]))
            same = np.array_equal(fast.weights(changes).classes, naive.weights(changes).classes)
            promise(same, f"{op.kind}: a flip of bit {bit} in {tensor.name} has another answer when it is computed fast")
    for number, step in enumerate(program.steps):
        hit = [Upset(image=0, element=int(rng.integers(step.tensor.elements)), mask=1 << bit) for bit in (22, 28)]
        same = np.array_equal(fast.activations(number, hit).classes, naive.activations(number, hit).classes)
        promise(same, f"{op.kind}: a flipped activation of step {number} has another answer when it is computed fast")


def _on_map(op: Op) -> Graph:
    """A convolution, the operation on its output, another convolution, a linear layer."""
    conv: Callable[[int], Conv] = lambda channels: Conv(out_channels=channels, kernel=3, padding=1)  # noqa: E731
    ops: list[Op] = [Input(channels=2, height=9, width=7), conv(4), BatchNorm(), Clip(), op, conv(6), Clip(), Flatten()]
    nodes = [Node(place, each, (place - 1,) if place > 1 else ()) for place, each in enumerate(ops, 1)]
    return Graph((*nodes, Node(len(nodes) + 1, Linear(out_features=CLASSES), (len(nodes),))), len(nodes) + 1)


def _state(graph: Graph) -> State:
    """Tensors in which every one matters: no batch norm is neutral."""
    generator = torch.Generator().manual_seed(0)
    state = {}
    for name, shape in graph.tensors().items():
        drawn = torch.randn(shape, generator=generator) * (0.5 if len(shape) == 1 else 0.3)
        state[name] = drawn.abs() + 0.1 if name.endswith("running_var") else drawn
    return state
