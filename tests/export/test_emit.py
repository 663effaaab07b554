"""What the ONNX writer gives: parity with torch for every operation, folding, names, metadata, silence."""

import json
import time
from collections.abc import Mapping

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import numpy_helper
from torch import Tensor

from hwnas import __version__
from hwnas.deployed import fold
from hwnas.errors import ExportError
from hwnas.export import class_names, emit
from hwnas.graph import (
    Add,
    AvgPool,
    BatchNorm,
    Clip,
    Concat,
    Conv,
    Flatten,
    GlobalAvgPool,
    Graph,
    MaxPool,
    WeightedAdd,
    architecture_id,
    stored_tensors,
)
from tests.chains import grown_graphs
from tests.export.samples import images, onnx_logits, random_state, statistics, torch_logits
from tests.graphs import SAMPLES, Builder


def assert_parity(graph: Graph, state: Mapping[str, Tensor], *, normalised: bool) -> onnx.ModelProto:
    mean, std = statistics(graph) if normalised else (None, None)
    model = emit(graph, state, mean=mean, std=std)
    onnx.checker.check_model(model, full_check=True)
    expected = torch_logits(graph, state, images(graph), normalised=normalised)
    got = onnx_logits(model, images(graph))
    assert np.abs(got - expected).max() <= 1e-5 * max(1.0, np.abs(expected).max())
    return onnx.load_model_from_string(model)


def op_types(model: onnx.ModelProto) -> list[str]:
    return [node.op_type for node in model.graph.node]


@pytest.mark.parametrize("normalised", [False, True])
@pytest.mark.parametrize("name", SAMPLES)
def test_parity_on_every_sample(name: str, normalised: bool) -> None:
    graph = SAMPLES[name]()
    assert_parity(graph, random_state(graph), normalised=normalised)


@settings(deadline=None, derandomize=True, max_examples=40)
@given(graph=grown_graphs(), normalised=st.booleans(), seed=st.integers(0, 99))
def test_parity_on_what_searches_grow(graph: Graph, normalised: bool, seed: int) -> None:
    assert_parity(graph, random_state(graph, seed), normalised=normalised)


def test_image_read_by_padded_convolutions_keeps_one_subtraction() -> None:
    graph = SAMPLES["residual"]()
    assert op_types(assert_parity(graph, random_state(graph), normalised=True))[:2] == ["Add", "Conv"]


@pytest.mark.parametrize("groups", [1, 2])
def test_unpadded_convolutions_take_the_whole_normalisation(groups: int) -> None:
    b = Builder(2, 6, 6)
    b.add(Conv(out_channels=4, kernel=3, padding=0, groups=groups))
    b.add(Conv(out_channels=4, kernel=1, padding=0, bias=True, groups=groups), 1)
    b.add(AvgPool(kernel=3, stride=1), 3)
    b.add(Concat(), 2, 4)
    graph = b.head()
    assert op_types(assert_parity(graph, random_state(graph), normalised=True))[:2] == ["Conv", "Conv"]


@pytest.mark.parametrize("op", [MaxPool(), BatchNorm(), Clip(low=-0.5, high=0.5)])
def test_image_read_by_others_is_normalised_in_one_node(op: MaxPool | BatchNorm | Clip) -> None:
    b = Builder(2, 6, 6)
    b.add(op)
    b.conv(4)
    graph = b.head()
    assert op_types(assert_parity(graph, random_state(graph), normalised=True))[0] == "Conv"


def blend(left: tuple[bool, float], right: tuple[bool, float]) -> Graph:
    """Two convolutions behind a stem, each with or without a clip at ``high``, and their weighted sum."""
    b = Builder(1, 6, 6)
    stem = b.conv(4)
    ends = []
    for clipped, high in (left, right):
        end = b.conv(4, stem, relu=False)
        ends.append(b.add(Clip(high=high)) if clipped else end)
    b.add(WeightedAdd(), *ends)
    return b.head()


@pytest.mark.parametrize(
    ("left", "right", "mix", "multiplications"),
    [
        ((False, 0.0), (True, float("inf")), 0.3, 0),
        ((False, 0.0), (True, float("inf")), -0.3, 1),
        ((True, 6.0), (False, 0.0), 0.3, 1),
        ((True, 6.0), (True, 1.0), 0.3, 2),
        ((True, float("inf")), (True, float("inf")), 0.0, 0),
    ],
)
def test_weighted_adds_go_into_convolutions_where_they_can(
    left: tuple[bool, float], right: tuple[bool, float], mix: float, multiplications: int
) -> None:
    graph = blend(left, right)
    state = random_state(graph)
    mixed = next(node for node in graph if isinstance(node.op, WeightedAdd))
    state[f"{mixed.id}.mix"] = torch.tensor(mix)
    assert op_types(assert_parity(graph, state, normalised=False)).count("Mul") == multiplications


def test_a_weighted_add_of_shared_and_repeated_tensors() -> None:
    b = Builder(1, 6, 6)
    stem = b.conv(4)
    once = b.conv(4, relu=False)
    b.add(WeightedAdd(), stem, once)
    b.add(WeightedAdd(), once, once)
    b.add(Add(), 7, 8)
    b.add(Clip())
    graph = b.head()
    assert op_types(assert_parity(graph, random_state(graph), normalised=False)).count("Mul") == 4


def test_an_add_of_three_and_logits_that_are_a_view() -> None:
    b = Builder(3, 6, 6)
    stem = b.conv(4)
    a, c = b.conv(4, stem), b.conv(4, stem, relu=False)
    b.add(Add(), stem, a, c)
    b.conv(10, kernel=1, relu=False)
    b.add(GlobalAvgPool())
    view = b.add(Flatten())
    assert_parity(Graph(tuple(b.nodes), view), random_state(Graph(tuple(b.nodes), view)), normalised=True)


@pytest.mark.parametrize("name", SAMPLES)
def test_every_stored_tensor_can_be_found(name: str) -> None:
    graph = SAMPLES[name]()
    model = assert_parity(graph, random_state(graph), normalised=True)
    written = {output for node in model.graph.node for output in node.output}
    assert {f"t{tensor.node}" for tensor in stored_tensors(graph)} - {f"t{graph.output}"} <= written
    weights = {tensor.name for tensor in model.graph.initializer}
    assert {name for name in graph.parameters() if name.endswith("weight")} >= {w for w in weights if w.endswith("weight")}


def test_the_file_says_what_it_is() -> None:
    graph = SAMPLES["plain"]()
    model = onnx.load_model_from_string(emit(graph, random_state(graph), metadata=class_names(["a", "b"])))
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    assert metadata["architecture_id"] == architecture_id(graph)
    assert metadata["hwnas_version"] == __version__
    assert json.loads(metadata["classes"]) == ["a", "b"]
    assert (model.ir_version, model.opset_import[0].version) == (8, 17)
    image = model.graph.input[0]
    assert image.name == "image"
    assert [dim.dim_param or dim.dim_value for dim in image.type.tensor_type.shape.dim] == ["batch", 1, 8, 8]
    assert [output.name for output in model.graph.output] == ["logits"]


def test_deployed_weights_are_those_of_the_file() -> None:
    graph = SAMPLES["dense"]()
    mean, std = statistics(graph)
    state = random_state(graph)
    deployed = fold(graph, state, mean=mean, std=std)
    model = onnx.load_model_from_string(emit(graph, state, mean=mean, std=std))
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    for name, array in deployed.weights.items():
        np.testing.assert_array_equal(stored[name], array)


def test_runtime_has_nothing_to_warn_about(capfd: pytest.CaptureFixture[str]) -> None:
    for make in SAMPLES.values():
        graph = make()
        onnx_logits(emit(graph, random_state(graph), mean=statistics(graph)[0], std=statistics(graph)[1]), images(graph))
    assert capfd.readouterr().err == ""


def test_what_cannot_be_exported_is_refused() -> None:
    graph = SAMPLES["plain"]()
    state = random_state(graph)
    with pytest.raises(ExportError, match="mean and a positive std for each of 1 channels"):
        emit(graph, state, mean=(0.5, 0.5), std=(1.0, 1.0))
    with pytest.raises(ExportError, match="positive std"):
        emit(graph, state, mean=(0.5,), std=(0.0,))
    first = next(iter(state))
    with pytest.raises(ExportError, match="not in the state"):
        emit(graph, {name: tensor for name, tensor in state.items() if name != first})
    with pytest.raises(ExportError, match="infinities or NaN"):
        emit(graph, state | {first: torch.full_like(state[first], float("nan"))})


def test_a_file_takes_milliseconds() -> None:
    graph = SAMPLES["flat"]()
    state, times = random_state(graph), []
    for _ in range(20):
        started = time.perf_counter()
        emit(graph, state)
        times.append(time.perf_counter() - started)
    assert sorted(times)[0] < 3e-3
