"""External data of an ONNX file is looked at before it is read: whatever it says of itself ends in one message."""

import os
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from hwnas.device.model import input_specs, read_model
from hwnas.errors import ModelError
from tests.device.models import conv_net, external

MALFORMED = [
    (key, value)
    for key, values in {
        "offset": ("-4", "-1", "abc", "", "1e3", "99999999999999999999", "16", "1", "0x4", "4.0", "NaN"),
        "length": ("-1", "-16", "abc", "", "17", "99999999999999999999", "8.0", "1e9", "inf"),
        "location": (
            "",
            ".",
            "..",
            "../w.bin",
            "/etc/hostname",
            "w\0.bin",
            "x" * 5000,
            "absent",
            "folder",
            "pipe",
            "loop",
            "out",
        ),
    }.items()
    for value in values
]


def folder_of(tmp_path: Path) -> Path:
    (tmp_path / "outside.bin").write_bytes(bytes(16))
    folder = tmp_path / "models"
    (folder / "folder").mkdir(parents=True)
    (folder / "w.bin").write_bytes(bytes(16))
    os.mkfifo(folder / "pipe")
    (folder / "loop").symlink_to("loop")
    (folder / "out").symlink_to(tmp_path / "outside.bin")
    return folder


def saying(model: onnx.ModelProto, **said: str) -> bytes:
    tensor = model.graph.initializer[0]
    kept = {entry.key: entry.value for entry in tensor.external_data} | said
    del tensor.external_data[:]
    for key, value in kept.items():
        tensor.external_data.add(key=key, value=value)
    return model.SerializeToString()


@pytest.mark.parametrize(("key", "value"), MALFORMED, ids=[f"{key}-{value[:20]!r}" for key, value in MALFORMED])
def test_what_is_malformed_is_one_message(key: str, value: str, tmp_path: Path) -> None:
    folder = folder_of(tmp_path)
    (folder / "m.onnx").write_bytes(saying(external("w.bin"), **{key: value}))
    with pytest.raises(ModelError, match=r"m\.onnx: .*tensor 'b?\w*'"):
        read_model(folder / "m.onnx")


@pytest.mark.parametrize("dims", [[2**20, 2**20], [2**62, 4], [-1], [-4, -1], [0], [3]])
def test_dims_that_are_not_the_data_s_are_one_message(dims: list[int], tmp_path: Path) -> None:
    folder, model = folder_of(tmp_path), external("w.bin")
    model.graph.initializer[0].dims[:] = dims
    (folder / "m.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match="tensor"):
        read_model(folder / "m.onnx")


@pytest.mark.parametrize("data_type", [0, 99, -1])
def test_a_type_that_there_is_not_is_one_message(data_type: int, tmp_path: Path) -> None:
    folder, model = folder_of(tmp_path), external("w.bin")
    model.graph.initializer[0].data_type = data_type
    (folder / "m.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match="tensor"):
        read_model(folder / "m.onnx")


@pytest.mark.parametrize("name", ["m.onnx", "w.bin"])
def test_sixty_gigabytes_of_nothing_are_not_read(name: str, tmp_path: Path) -> None:
    folder = folder_of(tmp_path)
    (folder / "m.onnx").write_bytes(external("w.bin").SerializeToString())
    with open(folder / name, "r+b") as file:
        file.truncate(60 << 30)
    with pytest.raises(ModelError, match=r"2 GB at most|bytes, and its shape needs"):
        read_model(folder / "m.onnx")


def test_sixty_gigabytes_that_the_shape_asks_for_are_not_read(tmp_path: Path) -> None:
    folder, model = folder_of(tmp_path), external("w.bin")
    model.graph.initializer[0].dims[:] = [15 << 30]
    (folder / "m.onnx").write_bytes(model.SerializeToString())
    with open(folder / "w.bin", "r+b") as file:
        file.truncate(60 << 30)
    with pytest.raises(ModelError, match="more than 2 GB"):
        read_model(folder / "m.onnx")


def test_a_tensor_in_a_local_function_is_seen(tmp_path: Path) -> None:
    folder = folder_of(tmp_path)
    outside = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[4], data_location=TensorProto.EXTERNAL)
    outside.external_data.add(key="location", value="../outside.bin")
    model = onnx.load_model_from_string(conv_net())
    constant = helper.make_node("Constant", [], ["y"], value=outside)
    model.functions.add(name="f", domain="local", output=["y"]).node.append(constant)
    (folder / "m.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match="outside the model's folder"):
        read_model(folder / "m.onnx")


def test_an_input_of_no_type_is_one_message() -> None:
    model = onnx.load_model_from_string(conv_net())
    model.graph.input[0].type.tensor_type.elem_type = 77
    with pytest.raises(ModelError, match="no tensor of floats"):
        input_specs(model.SerializeToString())
