"""A campaign continues only with a network that computes the same: the words of its memory do not tell."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from hwnas.campaign import Campaign, Examples, FaultSettings, onnx_subject
from hwnas.deployed.program import Step
from hwnas.errors import ConfigError
from hwnas.export import convert, emit
from hwnas.graph import Clip, Linear
from hwnas.injection import TorchTarget
from hwnas.injection.identity import program_sha256
from hwnas.injection.target import FaultTarget
from hwnas.resilience import FLOAT32, LOG8
from tests.export.samples import images, random_state, statistics
from tests.injection.injection_samples import SAMPLES, batch, program
from tests.injection.test_onnx_target import NETS, model

Change = Callable[[onnx.ModelProto], None]


def exported(precision: str) -> bytes:
    graph = SAMPLES["flat"]()
    mean, std = statistics(graph)
    emitted = emit(graph, random_state(graph), mean=mean, std=std)
    return emitted if precision == "float32" else convert(emitted, "int8", calibration=images(graph, 16).numpy())


def told_otherwise(proto: onnx.ModelProto) -> None:
    """Other metadata: the same network."""
    helper.set_model_props(proto, {"test_error": "0.5"})
    proto.producer_version = "another"


def with_bounded_relu(proto: onnx.ModelProto) -> None:
    node = next(node for node in proto.graph.node if node.op_type == "Relu")
    proto.graph.initializer.extend(numpy_helper.from_array(np.float32(v), f"bound{v}") for v in (0.0, 0.5))
    node.op_type = "Clip"
    node.input.extend(["bound0.0", "bound0.5"])


def with_another_slope(proto: onnx.ModelProto) -> None:
    node = next(node for node in proto.graph.node if node.op_type == "Elu")
    node.attribute.append(helper.make_attribute("alpha", 0.5))


def with_another_scale(proto: onnx.ModelProto) -> None:
    name = next(node.input[1] for node in proto.graph.node if node.op_type == "QuantizeLinear")
    scale = next(tensor for tensor in proto.graph.initializer if tensor.name == name)
    scale.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(scale) * np.float32(0.5), name))


CASES = [
    ("float32", exported("float32"), with_bounded_relu),
    ("float32", model(NETS["resized"]), with_another_slope),  # the slower engine
    ("int8", exported("int8"), with_another_scale),
]


@pytest.mark.parametrize(("dtype", "content", "change"), CASES, ids=["program", "any operators", "int8"])
def test_a_campaign_on_the_same_words_of_another_function_is_refused(
    dtype: str, content: bytes, change: Change, tmp_path: Path
) -> None:
    def bench(change: Change) -> FaultTarget:
        proto = onnx.load_model_from_string(content)
        change(proto)
        (tmp_path / "m.onnx").write_bytes(proto.SerializeToString())
        return onnx_subject(tmp_path / "m.onnx", dtype).bench()

    first = bench(lambda proto: None)
    pictures = np.random.default_rng(0).random((12, *first.shape), np.float32)
    examples = Examples(images=pictures, labels=np.arange(12) % first.classes)
    asked, path = FaultSettings(images=6, half_width=20.0, dtype=dtype), tmp_path / "c.jsonl"
    Campaign("m", first, examples, asked).single(path, lambda stage: None)
    before = path.read_text()
    Campaign("m", bench(told_otherwise), examples, asked).single(path, lambda stage: None)
    assert path.read_text() == before
    other = bench(change)
    assert other.memory.sha256() == first.memory.sha256()  # a condition of this test
    with pytest.raises(ConfigError, match="the file of another model"):
        Campaign("m", other, examples, asked).single(path, lambda stage: None)
    assert path.read_text() == before


GOLDEN = {
    "plain": "433453d005ad25fc7c198e2740d52db6e1325d86045f1c2f3c00397007bdb1e1",
    "flat": "be7e5315dce2fa67f60da73523a35d7be335fbf2e6599d5a1f9d5ef96bad3574",
    "residual": "eb0cf3cd1d883aec65f776683869d82b4fe9ed52cff6c55c43f01ef02de99e84",
    "separable": "8d5b7482d94b06362a12bf709712248c84006be287d8daafa485d01d4febf61d",
    "dense": "d81181585ecb90951b3f2d9b46815d95b155dac8958893040f506586a68e0359",
}
HASHED = {"tensor", "op", "kind", "reads", "views", "activation", "tensors"}
FOLLOWS = {"macs"}  # from the operation and the shapes, which follow from the image's and the operations


@pytest.mark.parametrize("name", GOLDEN)
def test_the_hash_of_what_a_network_computes_is_what_it_was(name: str) -> None:
    """Campaign files hold it: whoever changes it makes every campaign begin again."""
    assert program_sha256(program(SAMPLES[name]())) == GOLDEN[name]


def test_every_field_of_a_step_is_hashed_or_follows_from_those_that_are() -> None:
    assert {field.name for field in dataclasses.fields(Step)} == HASHED | FOLLOWS
    made = program(SAMPLES["dense"]())
    found = {program_sha256(made)}
    for number, changes in enumerate(_changes(made.steps[-1]), start=2):
        changed = program(SAMPLES["dense"]())
        changed.steps = (*changed.steps[:-1], dataclasses.replace(changed.steps[-1], **changes))
        found.add(program_sha256(changed))
        assert len(found) == number, changes


def _changes(step: Step) -> list[dict[str, Any]]:
    tensor = dataclasses.replace(step.tensor, node=77, producer=78)
    return [
        {"tensor": tensor},
        {"op": Linear(out_features=77)},
        {"kind": "conv"},
        {"reads": (0, *step.reads)},
        {"views": (False, *step.views)},
        {"activation": Clip(low=-1.5)},
        {"tensors": ("77.weight",)},
    ]


def test_full_scales_and_the_normalisation_of_images_are_part_of_the_function() -> None:
    graph = SAMPLES["flat"]()
    mean, std = statistics(graph)
    made = program(graph, FLOAT32)
    shifted = type(made).of(graph, random_state(graph), mean=tuple(m + 0.1 for m in mean), std=std)
    calibrated = [
        type(made).of(graph, random_state(graph), LOG8, mean=mean, std=std, calibration=factor * batch(graph).numpy())
        for factor in (1, 16)
    ]
    assert TorchTarget(made).function_sha256 == TorchTarget(program(graph, FLOAT32)).function_sha256
    assert len({TorchTarget(each).function_sha256 for each in (made, shifted, *calibrated)}) == 4
