"""Faults in int8 files: suffix sessions answer as whole files with other weights do."""

import numpy as np
import onnx
import pytest
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from hwnas.campaign import Campaign, Examples, FaultSettings, onnx_subject
from hwnas.errors import ConfigError, ModelError
from hwnas.export import convert, emit
from hwnas.injection import QdqSimulator, QdqTarget, Upset
from hwnas.resilience import Role
from tests.export.samples import images, random_state, statistics
from tests.injection.injection_samples import SAMPLES


def int8(name: str) -> tuple[QdqTarget, np.ndarray]:
    graph = SAMPLES[name]()
    mean, std = statistics(graph)
    calibration = images(graph, 32).numpy()
    model = convert(emit(graph, random_state(graph), mean=mean, std=std), "int8", calibration=calibration)
    return QdqTarget(model), calibration[:6]


@pytest.mark.parametrize("name", SAMPLES)
def test_weight_faults_answer_as_a_whole_file_with_these_weights(name: str) -> None:
    bench, pictures = int8(name)
    engine, rng = QdqSimulator(bench, pictures), np.random.default_rng(0)
    before, changed = bench.memory.sha256(), 0
    for tensor in bench.memory.population.tensors:
        for bit in {tensor.format.bits - 1, tensor.format.bits - 2}:
            index = bench.memory.population.index(tensor=tensor.name, element=int(rng.integers(tensor.size)), bit=bit)
            changes = bench.memory.flipped(np.array([index]))
            fast, naive = engine.weights(changes), engine.naive(changes)
            np.testing.assert_array_equal(fast.classes, naive.classes)
            changed += int((naive.classes != engine.classes).sum())
    assert changed > 0
    assert engine.weights(()).masked.all()
    assert bench.memory.sha256() == before
    bench.memory.check_unharmed()


@pytest.mark.parametrize("name", ["residual", "dense"])
def test_activations_that_are_flipped_twice_answer_as_clean_ones(name: str) -> None:
    bench, pictures = int8(name)
    engine = QdqSimulator(bench, pictures)
    hurt = 0
    for step, tensor in enumerate(bench.activations.tensors):
        nothing = [Upset(image=image, element=0, mask=0) for image in range(len(pictures))]
        found = engine.activations(step, nothing)
        np.testing.assert_array_equal(found.classes, engine.classes)
        assert found.masked.all()
        flipped = [Upset(image=image, element=image % tensor.size, mask=128) for image in range(len(pictures))]
        hurt += int((~engine.activations(step, flipped).masked).sum())
    assert hurt > len(pictures)


class _Pictures(CalibrationDataReader):
    def __init__(self, name: str, pictures: np.ndarray) -> None:
        self._batches = iter([{name: pictures}])

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self._batches, None)


@pytest.mark.filterwarnings("ignore")  # the quantiser's own
@pytest.mark.parametrize("activations", [QuantType.QInt8, QuantType.QUInt8])
def test_a_users_own_quantisation_answers_as_whole_files_do(tmp_path, activations: QuantType) -> None:
    graph = SAMPLES["residual"]()
    pictures, path = images(graph, 16).numpy(), tmp_path / "own.onnx"
    proto = onnx.load_model_from_string(emit(graph, random_state(graph)))
    reader = _Pictures(proto.graph.input[0].name, pictures)
    quantize_static(proto, path, reader, quant_format=QuantFormat.QDQ, activation_type=activations, weight_type=QuantType.QInt8)
    bench, changed = QdqTarget(path.read_bytes()), 0
    engine = QdqSimulator(bench, pictures[:6])
    for tensor in bench.memory.population.tensors:  # int8 activations are computed in floats: no sum overflows there
        for bit in (tensor.format.bits - 1, tensor.format.bits - 2):
            index = bench.memory.population.index(tensor=tensor.name, element=tensor.size - 1, bit=bit)
            changes = bench.memory.flipped(np.array([index]))
            fast, naive = engine.weights(changes), engine.naive(changes)
            np.testing.assert_array_equal(fast.classes, naive.classes)
            changed += int((naive.classes != engine.classes).sum())
    assert changed > 0


@pytest.mark.filterwarnings("ignore")  # the quantiser's own
@pytest.mark.parametrize(
    ("kinds", "message"),
    [
        ({"weight_type": QuantType.QUInt8, "activation_type": QuantType.QUInt8}, "uint8; quantise with weight_type QInt8"),
        ({"weight_type": QuantType.QInt8, "activation_type": QuantType.QUInt16}, "uint16; quantise with activation_type QUInt8"),
        ({"weight_type": QuantType.QInt8, "quant_format": QuantFormat.QOperator}, "instead of the QOperator form"),
    ],
)
def test_a_quantisation_whose_weights_would_be_left_out_is_refused(tmp_path, kinds: dict, message: str) -> None:
    graph = SAMPLES["plain"]()
    proto, path = onnx.load_model_from_string(emit(graph, random_state(graph))), tmp_path / "own.onnx"
    quantize_static(proto, path, _Pictures(proto.graph.input[0].name, images(graph, 8).numpy()), **kinds)
    with pytest.raises(ModelError, match=message):
        QdqTarget(path.read_bytes())


@pytest.mark.filterwarnings("ignore")  # the quantiser's own
def test_weights_that_were_left_out_of_the_quantisation_are_refused(tmp_path) -> None:
    graph = SAMPLES["plain"]()
    proto, path = onnx.load_model_from_string(emit(graph, random_state(graph))), tmp_path / "own.onnx"
    conv = [node for node in proto.graph.node if node.op_type == "Conv"][1]
    conv.name = "second"
    reader = _Pictures(proto.graph.input[0].name, images(graph, 8).numpy())
    quantize_static(proto, path, reader, nodes_to_exclude=["second"], weight_type=QuantType.QInt8)
    with pytest.raises(ModelError, match=f"expected int8 weights, '{conv.input[1]}' of Conv 'second' are float; quantise"):
        QdqTarget(path.read_bytes())


def test_unsigned_weights_of_any_heavy_operator_are_refused() -> None:
    nodes = [
        onnx.helper.make_node("Conv", ["x", "w"], ["c"]),
        onnx.helper.make_node("DequantizeLinear", ["v", "scale", "zero"], ["t"]),
        onnx.helper.make_node("ConvTranspose", ["c", "t"], ["d"]),
        onnx.helper.make_node("Flatten", ["d"], ["y"]),
    ]
    values = {"w": np.ones((1, 1, 1, 1), np.float32), "v": np.ones((1, 1, 1, 1), np.uint8), "scale": np.float32(1),
              "zero": np.uint8(0)}  # fmt: skip
    made = onnx.helper.make_graph(
        nodes,
        "net",
        [onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["n", 1, 2, 2])],
        [onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, ["n", 4])],
        [onnx.numpy_helper.from_array(np.asarray(value), name) for name, value in values.items()],
    )
    model = onnx.helper.make_model(made, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    with pytest.raises(ModelError, match="'v' are uint8"):
        QdqTarget(model.SerializeToString())


def test_operators_that_a_later_opset_writes_otherwise_are_disturbed_all_the_same() -> None:
    _, pictures = int8("plain")
    graph = SAMPLES["plain"]()
    proto = onnx.load_model_from_string(convert(emit(graph, random_state(graph)), "int8", calibration=pictures))
    (pool,) = (node for node in proto.graph.node if node.op_type == "GlobalAveragePool")
    pool.CopyFrom(onnx.helper.make_node("ReduceMean", list(pool.input), list(pool.output), axes=[2, 3]))  # opset 18: an input
    bench = QdqTarget(proto.SerializeToString())
    engine = bench.engine(pictures)
    assert engine.disturbed({}).masked.all()
    step = len(bench.activations.tensors) - 1
    masks = {step: np.full((len(pictures), bench.activations.tensors[step].size), 128, np.uint8)}
    flipped = [Upset(image=i, element=e, mask=128) for i, row in enumerate(masks[step]) for e in range(len(row))]
    np.testing.assert_array_equal(engine.disturbed(masks).classes, engine.activations(step, flipped).classes)


def test_stored_words_are_those_that_an_upset_flips() -> None:
    bench, pictures = int8("residual")
    engine = QdqSimulator(bench, pictures)
    for step, tensor in enumerate(bench.activations.tensors):
        words = engine.stored(step)
        assert words.shape == (len(pictures), tensor.size)
        flat = engine._values[tensor.name].reshape(len(pictures), -1)
        np.testing.assert_array_equal(words.view(flat.dtype), flat)


def test_memory_is_that_of_the_file() -> None:
    bench, _ = int8("plain")
    graph = SAMPLES["plain"]()
    weights = sum(int(np.prod(shape)) for name, shape in graph.tensors().items() if name.endswith("weight") and len(shape) > 1)
    assert bench.memory.population.bits_of(Role.WEIGHT) == 8 * weights
    assert bench.memory.population.bits_of(Role.BIAS) == 32 * (8 + 16 + 16 + 10)
    assert bench.classes == 10
    assert bench.shape == (1, 8, 8)
    assert all(0 < cost <= 1.05 for cost in bench.costs.values())


@pytest.mark.parametrize("target", ["weights", "activations"])
def test_a_campaign_on_an_int8_file(target: str) -> None:
    bench, pictures = int8("flat")
    labels = bench.engine(pictures).classes.astype(np.int64)
    settings = FaultSettings(dtype="int8", target=target, images=6, half_width=8.0)
    rows = Campaign("m", bench, Examples(images=pictures, labels=labels), settings).single(None, lambda stage: None).rows
    assert max(row["changed"] for row in rows) > 0
    assert all(row["unrecoverable"] == 0 for row in rows)


def with_nodes(proto: onnx.ModelProto, nodes: list[onnx.NodeProto]) -> bytes:
    made = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del proto.graph.node[:]
    proto.graph.node.extend(made)
    return proto.SerializeToString()


def test_files_in_another_format_are_refused(tmp_path) -> None:
    graph = SAMPLES["flat"]()
    model = emit(graph, random_state(graph))
    with pytest.raises(ModelError, match="without quantised weights"):
        QdqTarget(model)
    floats, halves, integers = tmp_path / "f.onnx", tmp_path / "h.onnx", tmp_path / "i.onnx"
    floats.write_bytes(model)
    integers.write_bytes(convert(model, "int8", calibration=images(graph, 8).numpy()))
    halves.write_bytes(convert(model, "float16"))
    for path, dtype in ((floats, "int8"), (integers, "float32"), (halves, "float32"), (halves, "bfloat16")):
        with pytest.raises(ConfigError, match="--dtype"):
            onnx_subject(path, dtype)
    proto = onnx.load_model_from_string(halves.read_bytes())
    nodes = [onnx.helper.make_node("Constant", [], [tensor.name], value=tensor) for tensor in proto.graph.initializer]
    del proto.graph.initializer[:]
    halves.write_bytes(with_nodes(proto, [*nodes, *proto.graph.node]))
    with pytest.raises(ConfigError, match="is float16, --dtype is float32"):
        onnx_subject(halves, "float32")
    proto = onnx.load_model_from_string(model)
    proto.graph.initializer.append(onnx.numpy_helper.from_array(np.float16(1.0), "unused"))
    floats.write_bytes(proto.SerializeToString())
    for path, dtype in ((floats, "float32"), (floats, "float16"), (halves, "float16"), (integers, "int8")):
        assert onnx_subject(path, dtype).bench().classes == 10
