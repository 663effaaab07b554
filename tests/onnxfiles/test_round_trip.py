"""Every operation that is written as ONNX is read back as what it was, and computes the same."""

from collections import Counter

import numpy as np
import onnx
import pytest

from hwnas.deployed import Program
from hwnas.export import convert, emit
from hwnas.graph import OPS, BatchNorm
from hwnas.injection import FastSimulator, NaiveSimulator, from_onnx
from hwnas.onnxfiles import translate
from tests.export.samples import images, onnx_logits, random_state, statistics
from tests.ops.op_cases import CASES

CASE = pytest.mark.parametrize("name", CASES)


@pytest.mark.parametrize("precision", ["float32", "float16"])
@CASE
def test_it_computes_the_same(name: str, precision: str) -> None:
    graph = CASES[name]()
    mean, std = statistics(graph)
    model = convert(emit(graph, random_state(graph), mean=mean, std=std), precision)
    got, expected = Program(*from_onnx(model)).run(images(graph)).numpy(), onnx_logits(model, images(graph))
    tolerance = (1e-4 if precision == "float32" else 2e-2) * max(1.0, float(np.abs(expected).max()))
    assert np.abs(got - expected).max() <= tolerance


@CASE
def test_it_is_the_same_operation_with_the_same_words(name: str) -> None:
    graph = CASES[name]()
    state = random_state(graph)
    own, (read, folded) = Program.of(graph, state), from_onnx(emit(graph, state))
    written = Counter(step.op for step in own.steps)
    # three summands are two sums in a file, an even grid is a pool, factors of 1 are none
    if name not in ("add-three", "adaptive_avg_pool", "weighted_add"):
        assert Counter(step.op for step in Program(read, folded).steps) == written
    words = sorted(array.tobytes() for array in own.memory.arrays.values())
    assert sorted(array.tobytes() for array in Program(read, folded).memory.arrays.values()) == words


@CASE
def test_faults_in_what_was_read_answer_as_full_passes_do(name: str) -> None:
    graph = CASES[name]()
    made = Program(*from_onnx(emit(graph, random_state(graph))))
    pictures = images(graph, 4)
    fast, naive = FastSimulator(made, pictures), NaiveSimulator(made, pictures)
    for bit in np.random.default_rng(0).integers(made.memory.population.size, size=10):
        change = made.memory.flipped(np.array([int(bit)]))
        np.testing.assert_array_equal(fast.weights(change).classes, naive.weights(change).classes)


def test_batch_norms_are_read_as_such_and_deployed_as_convolutions() -> None:
    """A search needs the four tensors, a device keeps two."""
    graph = CASES["batch_norm"]()
    nodes = [
        onnx.helper.make_node("Conv", ["x", "w"], ["c"], kernel_shape=[3, 3]),
        onnx.helper.make_node("BatchNormalization", ["c", "s", "o", "m", "v"], ["d"], epsilon=0.5),
        onnx.helper.make_node("GlobalAveragePool", ["d"], ["e"]),
        onnx.helper.make_node("Flatten", ["e"], ["y"]),
    ]
    rng = np.random.default_rng(0)
    shapes = {"w": (4, 2, 3, 3), "s": (4,), "o": (4,), "m": (4,), "v": (4,)}
    constants = {name: rng.random(shape, dtype=np.float32) for name, shape in shapes.items()}
    proto = onnx.helper.make_model(
        onnx.helper.make_graph(
            nodes,
            "g",
            [onnx.helper.make_tensor_value_info("x", 1, ["n", *graph.shapes[1]])],
            [onnx.helper.make_tensor_value_info("y", 1, ["n", 4])],
            [onnx.numpy_helper.from_array(value, name) for name, value in constants.items()],
        ),
        opset_imports=[onnx.helper.make_opsetid("", 17)],
        ir_version=8,
    )
    read = translate(proto)
    assert [node.op.kind for node in read.graph] == ["input", "conv", "batch_norm", "global_avg_pool", "flatten"]
    norm = read.graph[3].op
    assert isinstance(norm, BatchNorm)
    assert norm.eps == 0.5
    for name, source in zip(("weight", "bias", "running_mean", "running_var"), "somv", strict=True):
        np.testing.assert_array_equal(read.tensors[f"3.{name}"], constants[source])
        assert read.sources[f"3.{name}"] == source
    deployed, folded = from_onnx(proto.SerializeToString())
    assert [node.op.kind for node in deployed] == ["input", "conv", "conv", "global_avg_pool", "flatten"]
    np.testing.assert_allclose(folded.weights["3.weight"].reshape(-1), constants["s"] / np.sqrt(constants["v"] + 0.5), rtol=1e-6)


def test_every_operation_has_a_case() -> None:
    kinds = {node.op.kind for make in CASES.values() for node in make()}
    assert kinds == set(OPS)
