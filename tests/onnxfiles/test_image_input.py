"""What a user's file takes: batches of any size are put into files that were exported for one, other numbers are refused."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from hwnas.campaign import onnx_subject
from hwnas.deployed import Program
from hwnas.errors import ModelError
from hwnas.export import convert, emit
from hwnas.injection import QdqTarget, from_onnx
from hwnas.injection.onnx_target import OnnxTarget
from tests.export.samples import images, random_state
from tests.injection.injection_samples import SAMPLES
from tests.injection.test_onnx_target import HEAD, STEM, N, model


def with_batch(content: bytes, size: int) -> bytes:
    proto = onnx.load_model_from_string(content)
    for value in (*proto.graph.input, *proto.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = size
    return proto.SerializeToString()


def int8() -> tuple[bytes, np.ndarray]:
    graph = SAMPLES["residual"]()
    pictures = images(graph, 16).numpy()
    return convert(emit(graph, random_state(graph)), "int8", calibration=pictures), pictures


@pytest.mark.parametrize("size", [1, 8])
def test_a_file_for_batches_of_one_size_takes_any(size: int) -> None:
    content, pictures = int8()
    for mine, theirs in zip(
        QdqTarget(with_batch(content, size)).clean(pictures), QdqTarget(content).clean(pictures), strict=True
    ):
        np.testing.assert_array_equal(mine, theirs)
    graph = SAMPLES["residual"]()
    content = emit(graph, random_state(graph))
    resized, plain = (Program(*from_onnx(each)).run(images(graph, 3)) for each in (with_batch(content, size), content))
    np.testing.assert_array_equal(resized.numpy(), plain.numpy())


def test_an_int8_file_that_cannot_take_several_images_is_refused() -> None:
    proto = onnx.load_model_from_string(with_batch(int8()[0], 1))
    (flatten,) = (node for node in proto.graph.node if node.op_type == "Flatten")
    flatten.CopyFrom(helper.make_node("Reshape", [flatten.input[0], "one row"], list(flatten.output)))
    proto.graph.initializer.append(numpy_helper.from_array(np.array([1, -1]), "one row"))
    with pytest.raises(ModelError, match="export it with a dynamic batch"):
        QdqTarget(proto.SerializeToString())


@pytest.mark.parametrize(
    ("kind", "shape", "message"),
    [
        (TensorProto.UINT8, ["n", 2, 6, 6], "'x' takes uint8; export"),
        (TensorProto.FLOAT, ["n", 2, "height", "width"], "with a fixed height and width"),
    ],
)
def test_what_is_no_picture_of_floats_is_refused_by_every_engine(tmp_path, kind: int, shape: list, message: str) -> None:
    proto = onnx.load_model_from_string(model([STEM, N("Relu", ["c"], ["h"]), *HEAD]))
    proto.graph.node.insert(0, N("Cast", ["x"], ["z"], to=TensorProto.FLOAT))
    proto.graph.node[1].input[0] = "z"
    proto.graph.input[0].CopyFrom(helper.make_tensor_value_info("x", kind, shape))
    path = tmp_path / "own.onnx"
    path.write_bytes(proto.SerializeToString())
    for take in (lambda: onnx_subject(path, "float32"), lambda: OnnxTarget(path.read_bytes())):
        with pytest.raises(ModelError, match=message):
            take()
    proto = onnx.load_model_from_string(int8()[0])
    proto.graph.input[0].CopyFrom(helper.make_tensor_value_info(proto.graph.input[0].name, kind, shape))
    with pytest.raises(ModelError, match=message.replace("'x' ", "")):
        QdqTarget(proto.SerializeToString())
