"""Faults in ONNX files that cannot be translated: the steps answer as whole files with other weights do."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from hwnas.campaign import Campaign, Examples, FaultSettings, onnx_subject
from hwnas.deployed import Program
from hwnas.errors import DataError, ModelError
from hwnas.export import emit
from hwnas.injection import FastSimulator, Upset, from_onnx
from hwnas.injection.onnx_target import OnnxTarget
from hwnas.onnxfiles import comparing
from hwnas.resilience import FLOAT32
from tests.export.samples import images, random_state, statistics
from tests.injection.injection_samples import SAMPLES

N = helper.make_node
HEAD = [N("GlobalAveragePool", ["h"], ["p"]), N("Flatten", ["p"], ["f"]), N("Gemm", ["f", "l", "o"], ["y"])]
STEM = N("Conv", ["x", "w"], ["c"], kernel_shape=[3, 3], pads=[0, 0, 1, 1], strides=[1, 2])
NETS = {
    "uneven pads, gates": [STEM, N("Tanh", ["c"], ["s"]), N("Mul", ["c", "s"], ["h"]), *HEAD],
    "resized": [STEM, N("Elu", ["c"], ["r"]), N("Resize", ["r", "", "sizes"], ["h"], mode="nearest"), *HEAD],
    "dilated, split": [
        N("Conv", ["x", "w"], ["c"], kernel_shape=[3, 3], pads=[2] * 4, dilations=[2, 2]),
        N("Split", ["c"], ["s", "t"], axis=1), N("Tanh", ["t"], ["u"]), N("Concat", ["u", "s"], ["h"], axis=1), *HEAD,
    ],
    "recurrent": [
        N("Reshape", ["x", "rows"], ["q"]), N("Transpose", ["q"], ["t"], perm=[1, 0, 2]),
        N("LSTM", ["t", "kernel", "recurrence"], ["", "last"], hidden_size=4), N("Squeeze", ["last", "first"], ["v"]),
        N("Gemm", ["v", "l", "o"], ["z"]), N("LogSoftmax", ["z"], ["y"], axis=1),
    ],
}  # fmt: skip


def constants() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    shapes = {"w": (4, 2, 3, 3), "l": (4, 3), "o": (3,), "kernel": (1, 16, 12), "recurrence": (1, 16, 4)}
    return {name: rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()} | {
        "sizes": np.array([1, 1, 2, 2], np.float32), "rows": np.array([-1, 6, 12]), "first": np.array([0])
    }  # fmt: skip


def model(nodes: list, opset: int = 17, batch: object = "n", others: dict[str, np.ndarray] | None = None) -> bytes:
    used = {name for node in nodes for name in node.input}
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, 2, 6, 6])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [batch, 3])],
        [numpy_helper.from_array(value, name) for name, value in (constants() | (others or {})).items() if name in used],
    )
    opsets = [helper.make_opsetid(domain, 1 if domain else opset) for domain in {"", *(node.domain for node in nodes)}]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()


def whole(content: bytes, pictures: np.ndarray) -> np.ndarray:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"]).run(["y"], {"x": pictures})[0]


def pictures(count: int = 6) -> np.ndarray:
    return np.random.default_rng(1).random((count, 2, 6, 6), dtype=np.float32)


def classes(logits: np.ndarray) -> np.ndarray:
    return np.where(np.isfinite(logits).all(1), logits.argmax(1), -1)


@pytest.mark.parametrize("opset", [13, 18, 21])
@pytest.mark.parametrize("name", NETS)
def test_weight_faults_answer_as_a_whole_file_with_these_weights(name: str, opset: int) -> None:
    content = model(NETS[name] if opset < 18 else _split(name), opset)
    with pytest.raises(ModelError):
        from_onnx(content)
    bench, changed = OnnxTarget(content), 0
    engine, rng = bench.engine(pictures()), np.random.default_rng(0)
    np.testing.assert_array_equal(engine.classes, classes(whole(content, pictures())))
    for tensor in bench.memory.population.tensors:
        for bit in (31, 30, 29, 23):
            element = int(rng.integers(tensor.size))
            change = bench.memory.flipped(np.array([bench.memory.population.index(tensor=tensor.name, element=element, bit=bit)]))
            proto = onnx.load_model_from_string(content)
            (stored,) = (each for each in proto.graph.initializer if each.name == tensor.name)
            stored.CopyFrom(numpy_helper.from_array(bench.memory.changed(change[0]), tensor.name))
            found = engine.weights(change).classes
            np.testing.assert_array_equal(found, classes(whole(proto.SerializeToString(), pictures())))
            changed += int((found != engine.classes).sum())
    assert changed > 0
    assert engine.weights(()).masked.all()
    bench.memory.check_unharmed()


def _split(name: str) -> list:
    """The nodes as opset 18 wants them: a split says into how many parts."""
    return [N("Split", ["c"], ["s", "t"], axis=1, num_outputs=2) if n.op_type == "Split" else n for n in NETS[name]]


def test_what_a_device_stores_once_is_one_tensor() -> None:
    assert OnnxTarget(model(NETS["resized"])).names == ("x", "r", "h", "p", "y")
    assert OnnxTarget(model(NETS["dilated, split"])).names == ("x", "c", "s", "u", "h", "p", "y")
    assert OnnxTarget(model(NETS["recurrent"])).names == ("x", "z")


@pytest.mark.parametrize("name", NETS)
def test_activation_faults_hit_the_stored_tensor_alone_and_undo_themselves(name: str) -> None:
    bench = OnnxTarget(model(NETS[name]))
    engine, hurt = bench.engine(pictures()), 0
    for step, tensor in enumerate(bench.activations.tensors):
        upsets = [Upset(image=image, element=image % tensor.size, mask=1 << 30) for image in range(6)]
        assert engine.activations(step, [*upsets, *upsets]).masked.all()
        masks = np.zeros((6, tensor.size), np.uint32)
        for upset in upsets:
            masks[upset.image, upset.element] = upset.mask
        found = engine.activations(step, upsets)
        np.testing.assert_array_equal(found.classes, engine.disturbed({step: masks}).classes)
        hurt += int((~found.masked).sum())
        assert engine.stored(step).shape == masks.shape
    assert hurt > 6
    assert engine.disturbed({}).masked.all()


@pytest.mark.parametrize("name", SAMPLES)
def test_it_says_of_our_own_files_what_the_fast_engine_says(name: str) -> None:
    graph = SAMPLES[name]()
    mean, std = statistics(graph)
    content, shown = emit(graph, random_state(graph), mean=mean, std=std), images(graph)
    program, bench = Program(*from_onnx(content)), OnnxTarget(content)
    fast, engine = FastSimulator(program, shown), bench.engine(shown.numpy())
    np.testing.assert_array_equal(engine.classes, fast.classes)
    for tensor in program.memory.population.tensors:
        same = [n for n, array in bench.memory.arrays.items() if np.array_equal(array, program.memory.arrays[tensor.name])]
        if not same:  # a linear layer's matrix is transposed
            continue
        for bit in (31, 30, 27):
            answers = [
                made.weights(memory.flipped(np.array([memory.population.index(tensor=name, element=0, bit=bit)]))).classes
                for made, memory, name in ((fast, program.memory, tensor.name), (engine, bench.memory, same[0]))
            ]
            np.testing.assert_array_equal(*answers)
    assert all(0 < cost <= 1.05 for cost in bench.costs.values())


def test_first_outputs_may_be_left_out_more_than_once() -> None:
    nodes = [*NETS["recurrent"][:2], N("Neg", ["t"], ["negative"])]
    for number, source in enumerate(("t", "negative")):
        nodes += [
            N("LSTM", [source, "kernel", "recurrence"], ["", f"last{number}"], hidden_size=4),
            N("Squeeze", [f"last{number}", "first"], [f"v{number}"]), N("Gemm", [f"v{number}", "l", "o"], [f"z{number}"]),
        ]  # fmt: skip
    content = model([*nodes, N("Add", ["z0", "z1"], ["y"])])
    bench = OnnxTarget(content)
    assert bench.names == ("x", "z0", "z1", "y")
    np.testing.assert_array_equal(bench.engine(pictures()).classes, classes(whole(content, pictures())))


@pytest.mark.parametrize("kind", ["int8", "float16"])
def test_weights_of_another_format_are_refused_not_left_out(kind: str) -> None:
    to_int8 = [N("DynamicQuantizeLinear", ["f"], ["q", "s", "z"]), N("MatMulInteger", ["q", "stored", "z"], ["i"])]
    to_half = [N("Cast", ["f"], ["h"], to=TensorProto.FLOAT16), N("MatMul", ["h", "stored"], ["i"])]
    nodes = [N("Flatten", ["x"], ["f"]), *(to_int8 if kind == "int8" else to_half), N("Cast", ["i"], ["c"], to=TensorProto.FLOAT)]
    content = model([*nodes, N("Add", ["c", "o"], ["y"])], others={"stored": np.ones((72, 3), kind)})
    with pytest.raises(ModelError, match=f"expected float32 weights, 'stored' are {kind}"):
        OnnxTarget(content)


@pytest.mark.parametrize("target", ["weights", "activations"])
def test_a_campaign_on_a_file_of_any_operators(tmp_path, caplog, target: str) -> None:
    path = tmp_path / "own.onnx"
    path.write_bytes(model(NETS["uneven pads, gates"], batch=1))
    bench = onnx_subject(path, "float32").bench()
    (told,) = [record.getMessage() for record in caplog.records if record.name.startswith("hwnas")]
    assert told == "own.onnx: the slower engine, ONNX Runtime itself, is at work: operators Tanh are not supported"
    labels = bench.engine(pictures(50)).classes.astype(np.int64)
    settings = FaultSettings(target=target, half_width=8.0)
    campaign = Campaign("own", bench, Examples(images=pictures(50), labels=labels), settings)
    assert max(row["changed"] for row in campaign.single(None, lambda stage: None).rows) > 0
    assert {tensor.format for tensor in bench.memory.population.tensors} == {FLOAT32}
    with pytest.raises(ModelError, match=r"operators Tanh are not supported.*With --dtype float32"):
        onnx_subject(path, "float16")


@pytest.mark.parametrize(
    ("nodes", "message", "why"),
    [
        ([N("Mystery", ["x"], ["h"], domain="mine"), *HEAD], "Mystery", "mine"),
        ([N("Tanh", ["x"], ["h"]), *HEAD[:1], N("Flatten", ["p"], ["y"])], "Tanh", "weights, got none"),
        ([STEM, N("Tanh", ["c"], ["h"]), N("Reshape", ["h", "one"], ["f"]), N("Gemm", ["f", "big"], ["y"])], "Tanh", "a dynamic"),
    ],
    ids=["an operator that nobody has", "no weights", "a batch of one alone"],
)
def test_what_cannot_be_run_in_parts_is_refused_by_its_operators(tmp_path, nodes: list, message: str, why: str) -> None:
    path = tmp_path / "own.onnx"
    more = {"one": np.array([1, 60]), "big": np.ones((60, 3), np.float32)}
    path.write_bytes(model(nodes, others=more))
    with pytest.raises(ModelError, match=f"operators {message} are not supported.*{why}"):
        onnx_subject(path, "float32")


@pytest.mark.parametrize(("shape", "is_last"), [(("n", 6, 6, 2), True), (("n", 9, 8, 2), True), (("n", 2, 8, 8), False)])
def test_a_file_whose_channels_come_last_is_told_what_to_do(tmp_path, shape: tuple, is_last: bool) -> None:
    turned = N("Transpose", ["x"], ["t"], perm=[0, 3, 1, 2]) if is_last else N("Tanh", ["x"], ["t"])
    body = [N("Conv", ["t", "w"], ["h"], kernel_shape=[3, 3]), *HEAD]
    proto = onnx.load_model_from_string(model([turned, *body]))
    proto.graph.input[0].CopyFrom(helper.make_tensor_value_info("x", TensorProto.FLOAT, shape))
    path = tmp_path / "own.onnx"
    onnx.save(proto, path)
    bench = onnx_subject(path, "float32").bench()
    with pytest.raises(DataError, match=r"takes images of shape .*, the data have \(2, 6, 6\)") as raised:
        Campaign("own", bench, Examples(images=pictures(), labels=np.zeros(6, np.int64)), FaultSettings())
    assert ("channels first (NCHW)" in str(raised.value)) == is_last


def test_a_file_that_was_read_wrongly_is_reported_not_run_by_another_engine(tmp_path, monkeypatch) -> None:
    path = tmp_path / "own.onnx"
    nodes = [N("Flatten", ["x"], ["f"]), N("Gemm", ["f", "big"], ["y"])]
    path.write_bytes(model(nodes, others={"big": np.ones((72, 3), np.float32)}))
    assert onnx_subject(path, "float32").bench().classes == 3
    monkeypatch.setattr(comparing, "TOLERANCE", -1.0)
    for dtype in ("float32", "float16"):
        with pytest.raises(ModelError, match=r"please report it$"):
            onnx_subject(path, dtype)
