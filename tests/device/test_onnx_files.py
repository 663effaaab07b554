"""ONNX files from outside."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from hwnas.device.model import InputSpec, input_specs, parse, random_feeds, read_model
from hwnas.errors import ModelError
from tests.device.models import conv_net, external, one_node


@pytest.mark.parametrize("content", [b"", b"no model", conv_net()[:-40], b"\x08\x08"], ids=["empty", "text", "cut", "a version"])
def test_what_is_no_model_is_refused(content: bytes) -> None:
    with pytest.raises(ModelError, match="expected an ONNX model"):
        parse(content)


def test_a_file_without_external_data_is_read_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(conv_net())
    assert read_model(tmp_path / "m.onnx") == conv_net()


def test_a_missing_file_and_a_corrupt_one_are_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no model file .*absent\.onnx"):
        read_model(tmp_path / "absent.onnx")
    for content in (b"no model", b""):
        (tmp_path / "m.onnx").write_bytes(content)
        with pytest.raises(ModelError, match=r"m\.onnx: expected an ONNX model"):
            read_model(tmp_path / "m.onnx")


@pytest.mark.parametrize("ending", ["json", "textproto", "onnxtxt"])
def test_a_files_ending_does_not_say_what_is_in_it(ending: str, tmp_path: Path) -> None:
    file = tmp_path / f"m.{ending}"
    file.write_bytes(conv_net())
    assert read_model(file) == conv_net()
    onnx.save(onnx.load_model_from_string(conv_net()), file.with_suffix(".text"), format="textproto")
    for content in (b"rubbish", file.with_suffix(".text").read_bytes()):
        file.write_bytes(content)
        with pytest.raises(ModelError, match=rf"m\.{ending}: expected an ONNX model"):
            read_model(file)


def test_external_data_beside_the_model_is_taken_in(tmp_path: Path) -> None:
    (tmp_path / "w.bin").write_bytes(np.asarray([1, 2, 3, 4], np.float32).tobytes())
    onnx.save(external("w.bin"), tmp_path / "m.onnx")
    model = parse(read_model(tmp_path / "m.onnx"))
    np.testing.assert_array_equal(onnx.numpy_helper.to_array(model.graph.initializer[0]), [1, 2, 3, 4])


@pytest.mark.parametrize("location", ["../w.bin", "/etc/hostname", "link"])
def test_external_data_is_never_followed_out_of_the_folder(tmp_path: Path, location: str) -> None:
    (tmp_path / "w.bin").write_bytes(bytes(16))
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / "link").symlink_to(tmp_path / "w.bin")
    (folder / "m.onnx").write_bytes(external(location).SerializeToString())
    with pytest.raises(ModelError, match="outside the model's folder; refused"):
        read_model(folder / "m.onnx")


def test_external_data_that_is_not_there_is_named(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(external("w.bin").SerializeToString())
    with pytest.raises(ModelError, match=r"needs 'w\.bin' beside the model"):
        read_model(tmp_path / "m.onnx")


def test_external_data_that_is_too_short_is_refused(tmp_path: Path) -> None:
    (tmp_path / "w.bin").write_bytes(bytes(3))
    (tmp_path / "m.onnx").write_bytes(external("w.bin").SerializeToString())
    with pytest.raises(ModelError, match=r"w\.bin"):
        read_model(tmp_path / "m.onnx")


def test_bytes_that_point_at_other_files_are_refused() -> None:
    with pytest.raises(ModelError, match="kept in another file"):
        parse(external("w.bin").SerializeToString())


def test_symbolic_dimensions_are_settled_by_name_and_the_batch_is_one() -> None:
    model = one_node("Relu", ["batch", 3, "height", "height"])
    assert input_specs(model, {"height": 8}) == [InputSpec(name="x", dtype="float32", shape=(1, 3, 8, 8))]
    assert input_specs(model, {"height": 8, "batch": 4})[0].shape == (4, 3, 8, 8)


def test_an_unsettled_dimension_is_named_with_the_option_that_settles_it() -> None:
    with pytest.raises(ModelError, match="dimension 2, 'height', is; give it, as in --shape height=N"):
        input_specs(one_node("Relu", ["batch", 3, "height", 4]))


def test_a_name_that_no_dimension_has_is_refused_with_those_there_are() -> None:
    with pytest.raises(ModelError, match="no input has a dimension 'btach'; symbolic are: batch, height"):
        input_specs(one_node("Relu", ["batch", 3, "height"]), {"height": 8, "btach": 4})


def test_inputs_that_fit_no_memory_are_refused() -> None:
    for shape in ((2**40, 2**10), (2**40, 2**40)):
        with pytest.raises(ModelError, match=r"'x': an array of .* does not fit"):
            random_feeds([InputSpec(name="x", shape=shape, dtype="float32")])


@pytest.mark.parametrize("size", [0, -1])
def test_a_size_must_be_positive(size: int) -> None:
    with pytest.raises(ModelError, match="'height'"):
        input_specs(one_node("Relu", ["batch", "height"]), {"height": size})


@pytest.mark.parametrize("size", [-1, 0])
def test_a_dimension_without_size_and_name_is_said_to_be_that(size: int) -> None:
    assert input_specs(one_node("Relu", [size, 3]))[0].shape == (1, 3)
    with pytest.raises(ModelError, match="dimension 1 is, and it has no name"):
        input_specs(one_node("Relu", [1, size]))


def test_an_input_without_a_shape_is_not_taken_for_a_number() -> None:
    assert input_specs(one_node("Relu", [])) == [InputSpec(name="x", dtype="float32", shape=())]
    model = onnx.load_model_from_string(one_node("Relu", []))
    model.graph.input[0].type.tensor_type.ClearField("shape")
    with pytest.raises(ModelError, match="'x': nothing says how many dimensions it has"):
        input_specs(model.SerializeToString())


@pytest.mark.parametrize("kind", [TensorProto.STRING, TensorProto.BFLOAT16, TensorProto.COMPLEX64])
def test_inputs_that_are_no_numbers_are_refused(kind: int) -> None:
    with pytest.raises(ModelError, match="no tensor of floats"):
        input_specs(one_node("Identity", [1], kind))


def test_a_sequence_as_input_is_refused() -> None:
    model = parse(one_node("Identity", [1]))
    element = onnx.helper.make_tensor_type_proto(TensorProto.FLOAT, [1])
    model.graph.input[0].type.CopyFrom(onnx.helper.make_sequence_type_proto(element))
    with pytest.raises(ModelError, match="no tensor of floats"):
        input_specs(model.SerializeToString())


def test_initialised_inputs_need_no_feed() -> None:
    model = parse(conv_net())
    model.graph.input.add().CopyFrom(onnx.helper.make_tensor_value_info("w0", TensorProto.FLOAT, [8, 3, 3, 3]))
    assert [spec.name for spec in input_specs(model.SerializeToString())] == ["x"]


@pytest.mark.parametrize("dtype", ["float32", "float16", "int64", "uint8", "bool"])
def test_feeds_are_seeded_and_of_the_declared_type(dtype: str) -> None:
    first, second = (random_feeds([InputSpec(name="x", shape=(2, 5), dtype=dtype)])["x"] for _ in range(2))
    assert first.dtype == dtype
    assert first.shape == (2, 5)
    np.testing.assert_array_equal(first, second)
    assert first.min() >= 0
    assert first.max() <= 1
