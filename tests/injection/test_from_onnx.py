"""A user's own ONNX classifiers: ours read back, torch's exports, and refusals that name the operators."""

import io
import warnings

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from hwnas.deployed import Program
from hwnas.errors import ModelError, UnsupportedOperatorError
from hwnas.export import convert, emit
from hwnas.graph import Clip, cost
from hwnas.injection import FastSimulator, NaiveSimulator, Upset, from_onnx
from hwnas.injection.onnx_target import OnnxTarget
from hwnas.onnxfiles import comparing
from tests.export.samples import images, onnx_logits, random_state, statistics
from tests.injection.injection_samples import SAMPLES


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_our_own_files_are_read_back(name: str, precision: str) -> None:
    graph = SAMPLES[name]()
    mean, std = statistics(graph)
    model = convert(emit(graph, random_state(graph), mean=mean, std=std), precision)
    read, deployed = from_onnx(model)
    pictures = images(graph)
    expected = onnx_logits(model, pictures)
    tolerance = 1e-4 if precision == "float32" else 1e-2
    np.testing.assert_allclose(Program(read, deployed).run(pictures).numpy(), expected, rtol=tolerance, atol=tolerance)
    assert cost(read).macs == pytest.approx(cost(graph).macs, rel=0.1)


def model_of(nodes: list, constants: dict[str, np.ndarray], *, shape=("n", 2, 6, 6), opset: int = 17) -> bytes:
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 3])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8).SerializeToString()


def weights(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32)


def test_normalisation_batch_norm_matmul_with_bias_mean_and_softmax() -> None:
    nodes = [
        helper.make_node("Sub", ["x", "mean"], ["a"]),
        helper.make_node("Div", ["a", "std"], ["b"]),
        helper.make_node("Conv", ["b", "w"], ["c"], kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        helper.make_node("BatchNormalization", ["c", "s", "o", "m", "v"], ["d"]),
        helper.make_node("Clip", ["d", "low", "high"], ["e"]),
        helper.make_node("ReduceMean", ["e"], ["f"], axes=[2, 3], keepdims=0),
        helper.make_node("MatMul", ["f", "l"], ["h"]),
        helper.make_node("Add", ["h", "bias"], ["z"]),
        helper.make_node("Softmax", ["z"], ["y"], axis=1),
    ]
    constants = {
        "mean": np.full((1, 2, 1, 1), 0.4, np.float32), "std": np.full((1, 2, 1, 1), 0.3, np.float32), "w": weights(4, 2, 3, 3),
        "s": weights(4), "o": weights(4), "m": weights(4), "v": np.abs(weights(4)) + 0.1,
        "low": np.float32(0), "high": np.float32(6),
        "l": weights(4, 3), "bias": weights(3),
    }  # fmt: skip
    constants = {name: np.asarray(value) for name, value in constants.items()}
    model = model_of(nodes, constants)
    graph, deployed = from_onnx(model)
    pictures = torch.rand(3, 2, 6, 6)
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    expected = session.run(None, {"x": pictures.numpy()})[0]
    np.testing.assert_allclose(Program(graph, deployed).run(pictures).softmax(1).numpy(), expected, atol=1e-5)


@pytest.mark.parametrize("kept", [-1, 1])
def test_a_view_computed_from_the_batch_size_is_a_flatten_or_is_refused(kept: int) -> None:
    """x.view(x.size(0), -1), as torch exports it; x.view(-1, x.size(1)) is another function."""
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], kernel_shape=[3, 3]),
        helper.make_node("Shape", ["c"], ["s"]),
        helper.make_node("Gather", ["s", "at"], ["d"], axis=0),
        helper.make_node("Unsqueeze", ["d", "axes"], ["u"]),
        helper.make_node("Concat", ["u", "rest"] if kept == -1 else ["rest", "u"], ["t"], axis=0),
        helper.make_node("Reshape", ["c", "t"], ["f"]),
        helper.make_node("Gemm", ["f", "l"], ["y"]),
    ]
    constants = {"w": weights(4, 2, 3, 3), "l": weights(64 if kept == -1 else 4, 3), "at": np.array(0 if kept == -1 else 1),
                 "axes": np.array([0]), "rest": np.array([-1])}  # fmt: skip
    model = model_of(nodes, constants)
    if kept == 1:
        with pytest.raises(ModelError):
            from_onnx(model)
        return
    pictures = torch.rand(3, 2, 6, 6)
    expected = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"]).run(None, {"x": pictures.numpy()})[0]
    np.testing.assert_allclose(Program(*from_onnx(model)).run(pictures).numpy(), expected, atol=1e-5)


def test_unknown_operators_are_named_with_what_could_be_faulted() -> None:
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], kernel_shape=[3, 3]),
        helper.make_node("Erf", ["c"], ["d"]),
        helper.make_node("Tanh", ["d"], ["e"]),
        helper.make_node("Flatten", ["e"], ["f"]),
        helper.make_node("Gemm", ["f", "l"], ["y"]),
    ]
    with pytest.raises(ModelError, match=r"operators Erf, Tanh are not supported.*\(w\).*--dtype int8"):
        from_onnx(model_of(nodes, {"w": weights(4, 2, 3, 3), "l": weights(64, 3)}))


def test_a_file_that_takes_and_computes_float16() -> None:
    nodes = [helper.make_node("Flatten", ["x"], ["f"]), helper.make_node("Gemm", ["f", "l"], ["y"])]
    proto = onnx.load_model_from_string(model_of(nodes, {"l": weights(72, 3).astype(np.float16)}))
    for value in (*proto.graph.input, *proto.graph.output):
        value.type.tensor_type.elem_type = TensorProto.FLOAT16
    graph, deployed = from_onnx(proto.SerializeToString())
    assert graph.classes == 3
    np.testing.assert_array_equal(deployed.weights["3.weight"].T, weights(72, 3).astype(np.float16).astype(np.float32))


@pytest.mark.parametrize(("kind", "taken"), [(np.float16, True), (np.float32, False)])
def test_how_close_the_translation_must_be_goes_by_the_weights_not_by_the_input(monkeypatch, kind: type, taken: bool) -> None:
    nodes = [
        helper.make_node("Cast", ["x"], ["c"], to=helper.np_dtype_to_tensor_dtype(np.dtype(kind))),
        helper.make_node("Flatten", ["c"], ["f"]),
        helper.make_node("Gemm", ["f", "l"], ["z"]),
        helper.make_node("Cast", ["z"], ["y"], to=TensorProto.FLOAT),
    ]
    model = model_of(nodes, {"l": weights(72, 3).astype(kind)})
    monkeypatch.setattr(comparing, "TOLERANCE", -1.0)
    if taken:
        from_onnx(model)
        return
    with pytest.raises(ModelError, match="please report it"):
        from_onnx(model)


@pytest.mark.parametrize(
    "node",
    [
        helper.make_node("MaxPool", ["x"], ["c"], kernel_shape=[2, 2], dilations=[2, 2]),
        helper.make_node("AveragePool", ["x"], ["c"], kernel_shape=[2, 2], pads=[0, 0, 1, 1], count_include_pad=0),
        helper.make_node("HardSigmoid", ["x"], ["c"]),
        helper.make_node("Slice", ["x", "one", "six", "two"], ["c"]),
        helper.make_node("Concat", ["x", "x"], ["c"], axis=2),
    ],
)
def test_what_a_graph_cannot_say_is_refused(node: onnx.NodeProto) -> None:
    nodes = [node, helper.make_node("GlobalAveragePool", ["c"], ["d"]), helper.make_node("Flatten", ["d"], ["y"])]
    numbers = {"one": np.array([1]), "two": np.array([2]), "six": np.array([6])}
    with pytest.raises(UnsupportedOperatorError):
        from_onnx(model_of(nodes, numbers))


def test_bounds_that_an_old_opset_has_as_attributes_are_kept() -> None:
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], kernel_shape=[3, 3]),
        helper.make_node("Clip", ["c"], ["d"], min=-50.0, max=60.0),
        helper.make_node("GlobalAveragePool", ["d"], ["e"]),
        helper.make_node("Flatten", ["e"], ["f"]),
        helper.make_node("Gemm", ["f", "l", "o"], ["y"]),
    ]
    model = model_of(nodes, {"w": weights(4, 2, 3, 3), "l": weights(4, 3), "o": weights(3)}, opset=9)
    (clip,) = (node.op for node in from_onnx(model)[0].nodes if isinstance(node.op, Clip))
    assert (clip.low, clip.high) == (-50.0, 60.0)


def test_a_classifier_that_ends_in_a_pool_is_faulted_as_any() -> None:
    """SqueezeNet is one: its logits are a convolution's channels."""
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], kernel_shape=[3, 3]),
        helper.make_node("Relu", ["c"], ["d"]),
        helper.make_node("Conv", ["d", "v"], ["e"], kernel_shape=[1, 1]),
        helper.make_node("GlobalAveragePool", ["e"], ["p"]),
        helper.make_node("Flatten", ["p"], ["y"]),
    ]
    made = Program(*from_onnx(model_of(nodes, {"w": weights(4, 2, 3, 3), "v": weights(3, 4, 1, 1)})))
    pictures, changed = torch.rand(5, 2, 6, 6), 0
    fast, naive = FastSimulator(made, pictures), NaiveSimulator(made, pictures)
    assert fast.clean.logits.shape == (5, 3)
    for bit in range(0, made.memory.population.size, 7):
        change = made.memory.flipped(np.array([bit]))
        np.testing.assert_array_equal(fast.weights(change).classes, naive.weights(change).classes)
        changed += int((naive.weights(change).classes != naive.classes).sum())
    assert changed > 0
    nothing = [Upset(image=image, element=0, mask=0) for image in range(5)]
    assert all(fast.activations(step, nothing).masked.all() for step in range(len(made.steps)))


def test_layers_that_share_their_weights_are_left_to_the_engine_that_faults_both() -> None:
    nodes = [
        helper.make_node("Flatten", ["x"], ["f"]),
        helper.make_node("Gemm", ["f", "l"], ["a"]),
        helper.make_node("Identity", ["s"], ["t"]),
        helper.make_node("Gemm", ["a", "s"], ["b"]),
        helper.make_node("Gemm", ["b", "t"], ["y"]),
    ]
    model = model_of(nodes, {"l": weights(72, 3), "s": weights(3, 3)})
    with pytest.raises(UnsupportedOperatorError, match="share their weights"):
        from_onnx(model)
    bench = OnnxTarget(model)
    assert sorted(tensor.size for tensor in bench.memory.population.tensors) == [9, 216]


def test_a_fixed_or_vector_input_is_refused() -> None:
    with pytest.raises(ModelError, match="images"):
        from_onnx(model_of([helper.make_node("Gemm", ["x", "w"], ["y"])], {"w": weights(4, 3)}, shape=("n", 4)))
    with pytest.raises(ModelError, match="ONNX"):
        from_onnx(b"no model")


def test_a_file_that_torch_exported() -> None:
    net = nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 4, 3, groups=4), nn.ReLU6(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3),
    ).eval()  # fmt: skip
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(net, (torch.rand(1, 2, 8, 8),), file, dynamo=False)
    graph, deployed = from_onnx(file.getvalue())
    pictures = torch.rand(1, 2, 8, 8)
    torch.testing.assert_close(Program(graph, deployed).run(pictures), net(pictures).detach(), rtol=1e-4, atol=1e-4)
