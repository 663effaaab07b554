"""Guarded files compute the same on the images they were guarded with, and less harm where a bit flips."""

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from hwnas.deployed import Program
from hwnas.errors import ExportError
from hwnas.export import convert, emit
from hwnas.export.guard import guarded
from hwnas.injection import FastSimulator, effect, from_onnx
from tests.export.samples import images, onnx_logits, random_state
from tests.graphs import SAMPLES, Builder


def scales(proto: onnx.ModelProto) -> set[str]:
    """The scales of activations."""
    constant = {tensor.name for tensor in proto.graph.initializer}
    return {node.input[1] for node in proto.graph.node if node.op_type == "QuantizeLinear" and node.input[0] not in constant}


@pytest.mark.parametrize("name", SAMPLES)
def test_a_guarded_file_computes_the_same_on_its_images(name: str) -> None:
    graph = SAMPLES[name]()
    model, pictures = emit(graph, random_state(graph)), images(graph, 20)
    safe = guarded(model, pictures.numpy())
    proto = onnx.load_model_from_string(safe).graph
    assert {tensor.name for tensor in proto.initializer} <= {name for node in proto.node for name in node.input}
    np.testing.assert_allclose(onnx_logits(safe, pictures), onnx_logits(model, pictures), rtol=1e-4, atol=1e-4)
    limits = onnx_logits(model, pictures)
    wild = onnx_logits(safe, pictures * 1000)
    assert wild.min() >= limits.min() - 1e-5
    assert wild.max() <= limits.max() + 1e-5


def test_without_a_hidden_layer_there_is_nothing_to_cut_off() -> None:
    graph = Builder().head(3, pool=False)
    model = emit(graph, random_state(graph), mean=(0.5,), std=(0.25,))
    assert guarded(model, images(graph, 20).numpy(), coverage=0.999) == model


def test_flips_do_less_harm_in_a_guarded_file() -> None:
    graph = SAMPLES["residual"]()
    model, pictures = emit(graph, random_state(graph)), images(graph, 20)
    harm = []
    for content in (model, guarded(model, pictures.numpy())):
        made = Program(*from_onnx(content))
        engine = FastSimulator(made, pictures)
        changed = []
        for tensor in made.memory.population.tensors:
            for element in range(0, tensor.size, max(1, tensor.size // 8)):
                bit = made.memory.population.index(tensor=tensor.name, element=element, bit=30)
                answers = engine.weights(made.memory.flipped(np.array([bit])))
                changed.append(effect(answers, engine.classes, engine.classes.astype(np.int64)).changed)
        harm.append(np.mean(changed))
    assert harm[1] < harm[0]


@pytest.mark.parametrize("name", ["plain", "residual", "dense"])
def test_what_becomes_int8_is_clipped_to_all_but_its_outliers(name: str) -> None:
    graph = SAMPLES[name]()
    channels = graph.shapes[graph.input.id][0]
    model, pictures = emit(graph, random_state(graph), mean=(0.5,) * channels, std=(0.25,) * channels), images(graph, 200).numpy()
    found = []
    for float32 in (model, guarded(model, pictures, coverage=0.9)):
        proto = onnx.load_model_from_string(convert(float32, "int8", calibration=pictures))
        assert not any(node.op_type == "Clip" for node in proto.graph.node)  # the scales clip
        found.append({t.name: float(numpy_helper.to_array(t)) for t in proto.graph.initializer if t.name in scales(proto)})
    plain, tight = found
    assert plain["t1_scale"] == tight["t1_scale"]  # the image
    assert plain.keys() <= tight.keys()  # views may share a scale
    assert all(tight[name] < plain[name] for name in plain.keys() - {"t1_scale", "logits_scale"})


def test_coverage_leaves_the_image_and_the_logits_alone() -> None:
    graph = SAMPLES["plain"]()
    pictures = images(graph, 64)
    for mean, std in ((None, None), ((0.5,), (0.25,))):
        model = emit(graph, random_state(graph), mean=mean, std=std)
        clips = [node for node in onnx.load_model_from_string(guarded(model, pictures.numpy(), coverage=0.9)).graph.node
                 if node.op_type == "Clip"]  # fmt: skip
        all_of_them = [node for node in onnx.load_model_from_string(guarded(model, pictures.numpy())).graph.node
                       if node.op_type == "Clip"]  # fmt: skip
        assert len(all_of_them) - len(clips) == (1 if mean is None else 2)
        assert not any("logits" in node.output[0] for node in clips)


def ranges_of_a_relu(pictures: np.ndarray, coverage: float) -> tuple[float, float]:
    """The bounds of relu(images) in a guarded file of nothing but that and a flatten."""
    nodes = [helper.make_node("Relu", ["x"], ["r"]), helper.make_node("Flatten", ["r"], ["y"])]
    net = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", *pictures.shape[1:]])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", pictures[0].size])],
    )
    proto = helper.make_model(net, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    safe = onnx.load_model_from_string(guarded(proto.SerializeToString(), pictures, coverage=coverage))
    bounds = {tensor.name: float(numpy_helper.to_array(tensor)) for tensor in safe.graph.initializer}
    return bounds["r_guard_low"], bounds["r_guard_high"]


def test_a_tensor_with_few_values_but_zero_keeps_its_range() -> None:
    pictures = np.zeros((80, 1, 10, 10), np.float32)
    pictures[3, 0, 4, 4] = pictures[70, 0, 1, 1] = 2.5
    assert ranges_of_a_relu(pictures, 0.99) == (0.0, 2.5)


def test_the_last_batch_counts_by_its_images() -> None:
    pictures = np.random.default_rng(0).random((65, 1, 10, 10), dtype=np.float32)
    pictures[64] *= 100
    first, last = (np.quantile(part, [0.01, 0.99]) for part in (pictures[:64], pictures[64:]))
    np.testing.assert_allclose(ranges_of_a_relu(pictures, 0.99), (64 * first + last) / 65, rtol=1e-5)


def test_an_int8_file_is_refused() -> None:
    graph = SAMPLES["flat"]()
    pictures = images(graph, 8).numpy()
    model = convert(emit(graph, random_state(graph)), "int8", calibration=pictures)
    with pytest.raises(ExportError, match="int8"):
        guarded(model, torch.rand(1).numpy())
