"""Files with checksums answer as before, notice flipped weights, and raise no alarm where nothing flipped."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

import hwnas
from hwnas.errors import ConfigError, ExportError
from hwnas.export import convert, emit
from hwnas.export.checksum_figures import detection, mismatches
from hwnas.export.checksums import alarms, layers_of, summed_filter, with_checksums
from hwnas.injection import from_onnx
from tests.conftest import Made
from tests.export.samples import images, onnx_logits, random_state
from tests.graphs import SAMPLES


def made(name: str) -> tuple[bytes, bytes, np.ndarray]:
    """A file, the same with checksums, and images of which the first half gave the tolerances."""
    graph = SAMPLES[name]()
    channels = graph.shapes[graph.input.id][0]
    pictures = images(graph, 64).numpy()
    model = emit(graph, random_state(graph), mean=(0.5,) * channels, std=(0.25,) * channels)
    return model, with_checksums(model, pictures[:32]), pictures


@pytest.mark.parametrize("name", SAMPLES)
def test_the_answers_stay_and_nothing_is_found_where_nothing_flipped(name: str) -> None:
    model, checked, pictures = made(name)
    onnx.checker.check_model(checked, full_check=True)
    np.testing.assert_allclose(
        onnx_logits(checked, torch.from_numpy(pictures)), onnx_logits(model, torch.from_numpy(pictures)), rtol=1e-4, atol=1e-4
    )
    found = mismatches(checked, pictures)
    layers = [node for node in onnx.load_model_from_string(model).graph.node if node.op_type in ("Conv", "Gemm")]
    assert found.shape == (64, sum("offset" not in node.input for node in layers))
    assert 0 < found.max() <= 1
    assert not alarms(found).any()


@pytest.mark.parametrize("name", ["residual", "separable"])
def test_a_flip_in_any_layers_weights_or_biases_is_found_in_that_layer(name: str) -> None:
    _, checked, pictures = made(name)
    proto = onnx.load_model_from_string(checked)
    constants = {tensor.name: tensor for tensor in proto.graph.initializer}
    for number, layer in enumerate(layers_of(proto.graph)):
        for constant in layer.node.input[1:]:
            array = numpy_helper.to_array(constants[constant]).copy()
            array[len(array) // 2] += np.float32(0.5)
            flipped = onnx.ModelProto()
            flipped.CopyFrom(proto)
            (tensor,) = (tensor for tensor in flipped.graph.initializer if tensor.name == constant)
            tensor.CopyFrom(numpy_helper.from_array(array, constant))
            found = mismatches(flipped.SerializeToString(), pictures[:8])
            assert int((found > 1).any(0).argmax()) == number, constant  # those behind it may differ in more than training showed
            assert (found > 1).any()


def test_the_filters_of_groups_are_added_up_where_they_read() -> None:
    _, checked, _ = made("separable")
    (depthwise, *_) = (layer for layer in layers_of(onnx.load_model_from_string(checked).graph) if layer.groups > 1)
    summed = summed_filter(depthwise)
    assert summed.shape == (1, depthwise.groups, *depthwise.filters.shape[2:])
    np.testing.assert_allclose(summed[0], depthwise.filters[:, 0])


def test_what_is_not_a_number_is_an_alarm() -> None:
    assert alarms(np.array([[0.5, 1.0], [0.5, 1.1], [np.nan, 0.1], [np.inf, 0.1]], np.float32)).tolist() == [
        False,
        True,
        True,
        True,
    ]


def test_of_flips_that_change_answers_nearly_all_are_detected() -> None:
    _, checked, pictures = made("plain")
    found = detection(checked, pictures[32:], flips=120)
    assert found.flips == 120
    assert found.harmful >= found.detected > 0
    assert found.share is not None
    assert found.share > 0.95


def test_a_file_in_another_precision_is_refused() -> None:
    model, _, pictures = made("plain")
    with pytest.raises(ExportError, match="float32"):
        with_checksums(convert(model, "int8", calibration=pictures), pictures)


def test_a_campaign_meets_the_plain_network_of_such_a_file() -> None:
    model, checked, _ = made("residual")
    (graph, folded), (same, _) = from_onnx(model), from_onnx(checked)
    assert graph == same
    assert folded.weights


def test_an_export_says_what_its_checksums_find_and_verify_watches_them(tiny_run: Made, tmp_path: Path) -> None:
    run, bundle = hwnas.open_run(tiny_run.folder), tmp_path / "bundle"
    model = max(run.front(), key=lambda entry: entry.value("macs") or 0).id
    plain, checked = run.export(bundle, models=[model], checksums=True).files
    assert (plain.checksums, checked.name) == (None, f"{model}.checksums.onnx")
    assert checked.checksums is not None
    assert checked.checksums.false_alarms == 0 < checked.checksums.images
    assert checked.difference <= 1e-4
    assert "latency_ms" not in checked.metadata
    assert "false alarms" in (bundle / f"{model}.checksums.md").read_text()
    assert all(check.passed for check in hwnas.verify(bundle))
    with pytest.raises(ConfigError, match="float32"):
        run.export(tmp_path / "other", models=[model], precisions=["int8"], checksums=True)
    assert not (tmp_path / "other").exists()
