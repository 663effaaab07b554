"""int8 and float16 files: what is in them, how far they are from float32, silence."""

import logging

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

from hwnas.device import Fingerprint
from hwnas.errors import ConfigError
from hwnas.export import convert, emit, needs_reduced_range
from hwnas.export.guard import guarded
from hwnas.export.quantise import to_float16, to_int8
from hwnas.graph import architecture_id
from hwnas.morphism import OPERATORS, WITH_BOUNDING
from tests.export.samples import images, onnx_logits, random_state, statistics
from tests.graphs import SAMPLES


def float32_model(name: str) -> bytes:
    graph = SAMPLES[name]()
    mean, std = statistics(graph)
    return emit(graph, random_state(graph), mean=mean, std=std)


@pytest.mark.parametrize("reduce_range", [False, True])
@pytest.mark.parametrize("name", SAMPLES)
def test_int8_stays_close_and_is_symmetric_per_channel(name: str, reduce_range: bool) -> None:
    graph = SAMPLES[name]()
    batch = images(graph, 100)
    float32 = float32_model(name)
    int8 = to_int8(float32, batch.numpy(), reduce_range=reduce_range)
    onnx.checker.check_model(int8, full_check=True)
    expected, got = onnx_logits(float32, batch), onnx_logits(int8, batch)
    assert np.abs(got - expected).max() <= 0.08 * np.abs(expected).max()
    assert (got.argmax(1) == expected.argmax(1)).mean() >= 0.9
    stored = {t.name: numpy_helper.to_array(t) for t in onnx.load_model_from_string(int8).graph.initializer}
    weights = {name: array for name, array in stored.items() if name.endswith(".weight_quantized")}
    assert len(weights) == sum(key.endswith(".weight") and len(shape) > 1 for key, shape in graph.parameters().items()) + (
        name == "dense"
    )
    for key, array in weights.items():
        assert array.dtype == np.int8
        assert np.abs(array.astype(int)).max() <= (64 if reduce_range else 127)
        owner = key.removesuffix("_quantized")
        assert stored[f"{owner}_scale"].shape == (array.shape[0],)
        assert not stored[f"{owner}_zero_point"].any()


def test_int8_survives_dead_filters() -> None:
    graph = SAMPLES["plain"]()
    state = random_state(graph)
    first = next(name for name, tensor in state.items() if tensor.dim() == 4)
    state[first][:3] = 0.0
    batch = images(graph, 64)
    float32 = emit(graph, state)
    expected = onnx_logits(float32, batch)
    got = onnx_logits(to_int8(float32, batch.numpy(), reduce_range=False), batch)
    assert np.abs(got - expected).max() <= 0.05 * np.abs(expected).max()


def test_the_normalisation_stays_in_float32() -> None:
    graph = SAMPLES["residual"]()
    model = onnx.load_model_from_string(to_int8(float32_model("residual"), images(graph, 8).numpy(), reduce_range=False))
    reader = next(node for node in model.graph.node if "image" in node.input)
    assert reader.op_type == "Add"


def test_an_image_that_a_skip_reads_is_rounded_once() -> None:
    start = SAMPLES["plain"]()
    site = next(site for site in OPERATORS["skip_concat"].sites(start) if start.input.id in site.nodes)
    graph = OPERATORS["skip_concat"].apply(start, site, np.random.default_rng(0)).graph
    model = emit(graph, random_state(graph), mean=(0.5,), std=(0.25,))
    proto = onnx.load_model_from_string(to_int8(model, images(graph, 8).numpy(), reduce_range=False))
    (reader,) = [node for node in proto.graph.node if "image" in node.input]
    assert reader.op_type == "Conv"
    assert sum(node.op_type == "QuantizeLinear" and node.input[0] == reader.output[0] for node in proto.graph.node) == 1


def test_nothing_is_left_of_clips_that_became_scales() -> None:
    start = SAMPLES["residual"]()
    bound = WITH_BOUNDING["bound_activations"]
    graph = bound.apply(start, bound.sites(start)[0], np.random.default_rng(0)).graph
    model = emit(graph, random_state(graph))
    for float32 in (model, guarded(model, images(graph, 8).numpy())):
        proto = onnx.load_model_from_string(to_int8(float32, images(graph, 8).numpy(), reduce_range=False)).graph
        assert {tensor.name for tensor in proto.initializer} <= {name for node in proto.node for name in node.input}


def test_int8_needs_images() -> None:
    none = np.zeros((0, 1, 8, 8), np.float32)
    for calibration in (None, none):
        with pytest.raises(ConfigError, match="training images to calibrate on"):
            convert(float32_model("plain"), "int8", calibration=calibration)


def test_float32_is_left_alone() -> None:
    model = float32_model("plain")
    assert convert(model, "float32") is model


@pytest.mark.parametrize(
    ("architecture", "int8_dot", "needed"),
    [
        ("x86_64", ("avx512_vnni",), False),
        ("x86_64", (), True),
        ("AMD64", None, True),
        ("aarch64", (), False),
        ("arm64", None, False),
    ],
)
def test_reduced_range_where_sums_saturate(architecture: str, int8_dot: tuple[str, ...] | None, needed: bool) -> None:
    device = Fingerprint(
        cpu="some CPU", architecture=architecture, cores=2, memory_kb=None, governor=None, system="Linux", python="3.11",
        onnxruntime="1.31", providers=("CPUExecutionProvider",), int8_dot=int8_dot,
    )  # fmt: skip
    assert needs_reduced_range(device) is needed


@pytest.mark.parametrize("name", SAMPLES)
def test_float16_keeps_its_ends_and_stays_close(name: str) -> None:
    graph = SAMPLES[name]()
    float32 = float32_model(name)
    float16 = to_float16(float32)
    onnx.checker.check_model(float16, full_check=True)
    expected, got = onnx_logits(float32, images(graph)), onnx_logits(float16, images(graph))
    assert got.dtype == np.float32
    assert np.abs(got - expected).max() <= 0.01 * max(1.0, np.abs(expected).max())


def test_metadata_is_ours_and_nothing_is_logged(caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> None:
    graph = SAMPLES["plain"]()
    state = random_state(graph)
    state[next(iter(state))].fill_(1e-9)  # below float16: the tool would warn
    float32 = emit(graph, state, metadata={"note": "kept"})
    with caplog.at_level(logging.DEBUG):
        files = [to_int8(float32, torch.rand(8, 1, 8, 8).numpy(), reduce_range=False), to_float16(float32)]
    for model in files:
        metadata = {entry.key: entry.value for entry in onnx.load_model_from_string(model).metadata_props}
        assert metadata.keys() == {"hwnas_version", "architecture_id", "note"}
        assert metadata["architecture_id"] == architecture_id(graph)
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []
    assert capfd.readouterr() == ("", "")
