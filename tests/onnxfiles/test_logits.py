"""What stands behind the logits of an ONNX classifier: the classes are those of the whole file, and nothing is guessed."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from hwnas.campaign import onnx_subject
from hwnas.errors import ModelError
from hwnas.export import convert, emit
from hwnas.injection import QdqTarget
from hwnas.onnxfiles.logits import cut_at_logits
from tests.export.samples import images, random_state
from tests.injection.injection_samples import SAMPLES

N = helper.make_node
ENDINGS = {
    "softmax": [N("Softmax", ["y"], ["end"], axis=1)],
    "arg max": [N("ArgMax", ["y"], ["end"], axis=1, keepdims=0)],
    "arg max of a softmax": [N("Softmax", ["y"], ["p"], axis=1), N("ArgMax", ["p"], ["end"], axis=-1)],
    "arg max, squeezed": [N("ArgMax", ["y"], ["a"], axis=1), N("Squeeze", ["a", "axis"], ["end"])],
    "best of top 2": [N("TopK", ["y", "two"], ["v", "end"], axis=1)],
}
CONSTANTS = {"axis": 1, "two": 2}


def with_ending(body: onnx.ModelProto, nodes: list[onnx.NodeProto], outputs: tuple[str, ...]) -> onnx.ModelProto:
    made = onnx.ModelProto()
    made.CopyFrom(body)
    logits = made.graph.output[0].name
    for node in made.graph.node:
        node.output[:] = ["y" if name == logits else name for name in node.output]
    made.graph.node.extend(nodes)
    used = {name for node in nodes for name in node.input}
    made.graph.initializer.extend(numpy_helper.from_array(np.array([CONSTANTS[name]]), name) for name in used & CONSTANTS.keys())
    del made.graph.output[:]
    made.graph.output.extend(onnx.ValueInfoProto(name=name) for name in outputs)
    return made


def body(kind: str) -> onnx.ModelProto:
    """A file for each engine: fast, ONNX Runtime in steps, int8."""
    graph = SAMPLES["flat"]()
    content = emit(graph, random_state(graph))
    if kind == "int8":
        content = convert(content, "int8", calibration=images(graph, 8).numpy())
    proto = onnx.load_model_from_string(content)
    for node in proto.graph.node:
        if kind == "any operator" and node.op_type == "Relu":
            node.op_type = "Elu"
    return proto


@pytest.mark.parametrize("kind", ["fast", "any operator", "int8"])
@pytest.mark.parametrize("ending", ENDINGS)
def test_the_classes_are_those_of_the_whole_file(kind: str, ending: str, tmp_path) -> None:
    content = with_ending(body(kind), ENDINGS[ending], ("end",)).SerializeToString()
    (tmp_path / "own.onnx").write_bytes(content)
    bench = onnx_subject(tmp_path / "own.onnx", "int8" if kind == "int8" else "float32").bench()
    pictures = np.random.default_rng(0).normal(0.5, 3.0, (12, *bench.shape)).astype(np.float32)
    whole = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    (said,) = whole.run(None, {whole.get_inputs()[0].name: pictures})
    expected = said.argmax(1) if ending == "softmax" else said.reshape(12, -1)[:, 0]
    assert bench.classes == 10
    assert len(set(expected.tolist())) > 1
    np.testing.assert_array_equal(bench.engine(pictures).classes, expected)


def test_several_outputs_of_the_same_logits_are_one_classifier() -> None:
    whole = with_ending(body("fast"), [*ENDINGS["softmax"], N("ArgMax", ["y"], ["class"], axis=1)], ("y", "end", "class"))
    cut = cut_at_logits(whole)
    assert [output.name for output in cut.graph.output] == ["y"]
    assert [node.op_type for node in cut.graph.node] == [node.op_type for node in whole.graph.node[:-2]]
    assert len(whole.graph.output) == 3  # which was given is left as it was
    plain = with_ending(body("fast"), [], ("y",))
    assert cut_at_logits(plain) is plain


@pytest.mark.parametrize("kind", ["fast", "any operator", "int8"])
def test_outputs_among_which_one_would_have_to_guess_are_refused(kind: str, tmp_path) -> None:
    proto = body(kind)
    inside = next(node.output[0] for node in proto.graph.node if node.op_type in ("Relu", "Elu", "Conv"))
    (tmp_path / "own.onnx").write_bytes(with_ending(proto, [], (inside, "y")).SerializeToString())
    with pytest.raises(ModelError, match=rf"one output, logits \(n, classes\), got 2 outputs \({inside}, y\)"):
        onnx_subject(tmp_path / "own.onnx", "int8" if kind == "int8" else "float32")


@pytest.mark.parametrize(
    "ending",
    [
        [N("TopK", ["y", "two"], ["v", "end"], axis=1, largest=0)],
        [N("TopK", ["y", "two"], ["end", "i"], axis=1)],
        [N("ArgMax", ["y"], ["end"], axis=0)],
        [N("ArgMax", ["y"], ["end"])],
    ],
    ids=["smallest", "values", "over images", "over images by default"],
)
def test_an_ending_that_is_not_the_largest_logits_class_is_refused(ending: list[onnx.NodeProto]) -> None:
    with pytest.raises(ModelError, match="is not the number of the class with the largest logit"):
        cut_at_logits(with_ending(body("fast"), ending, ("end",)))


def test_a_softmax_over_images_is_not_taken_for_one_over_classes() -> None:
    whole = with_ending(body("fast"), [N("Softmax", ["y"], ["end"], axis=0)], ("end",))
    assert cut_at_logits(whole) is whole


def test_what_is_no_logits_is_said_with_its_shape(tmp_path) -> None:
    expected = r"expected a classifier with one output, logits \(n, classes\), "
    whole_numbers = [N("Cast", ["y"], ["end"], to=TensorProto.INT64)]
    (tmp_path / "own.onnx").write_bytes(with_ending(body("any operator"), whole_numbers, ("end",)).SerializeToString())
    with pytest.raises(ModelError, match=expected + "'end' has no float32"):
        onnx_subject(tmp_path / "own.onnx", "float32")
    with pytest.raises(ModelError, match=expected + r"got int64 \(2, 10\) for 2"):
        QdqTarget(with_ending(body("int8"), whole_numbers, ("end",)).SerializeToString())
    maps = [N("Unsqueeze", ["y", "axis"], ["end"])]
    (tmp_path / "own.onnx").write_bytes(with_ending(body("any operator"), maps, ("end",)).SerializeToString())
    with pytest.raises(ModelError, match=expected + r"'end' has \(n, 1, 10\)"):
        onnx_subject(tmp_path / "own.onnx", "float32")
