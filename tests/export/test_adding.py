"""Files that come into a bundle which is there already."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from hwnas.device import load_profile
from hwnas.errors import ConfigError, ModelError
from hwnas.export import Predict, read_manifest, runtime, verify_bundle, write_bundle
from tests.export.test_bundle import entries, pictures, settings


@pytest.fixture(scope="module")
def predict() -> Predict:
    return runtime(load_profile("local-cpu"))


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_an_export_adds_to_a_bundle_and_deletes_nothing(tmp_path: Path, predict: Predict) -> None:
    first, second = entries("plain", "flat")
    write_bundle(tmp_path, [first], images=pictures(), predict=predict, settings=settings())
    before = contents(tmp_path)
    both = write_bundle(tmp_path, [second], images=pictures(), predict=predict, settings=settings(precisions=("float16",)))
    assert [file.name for file in both.files] == ["g1-0.onnx", "g1-1.float16.onnx"]
    assert read_manifest(tmp_path) == both
    assert all(report.passed for report in verify_bundle(tmp_path, predict))
    after = contents(tmp_path)
    assert all(after[name] == before[name] for name in ("g1-0.onnx", "g1-0.md"))
    assert set(after) == both.names()
    assert "g1-0.onnx" in after["README.md"].decode()
    assert "g1-1.float16.onnx" in after["README.md"].decode()


def test_the_same_network_again_is_written_anew(tmp_path: Path, predict: Predict) -> None:
    models = entries("plain", "flat")
    write_bundle(tmp_path, models, images=pictures(), predict=predict, settings=settings())
    again = write_bundle(tmp_path, models[:1], images=pictures(), predict=predict, settings=settings())
    assert [file.name for file in again.files] == ["g1-1.onnx", "g1-0.onnx"]
    assert all(report.passed for report in verify_bundle(tmp_path, predict))


def test_another_network_of_the_same_name_other_images_and_damage_are_refused(tmp_path: Path, predict: Predict) -> None:
    models = entries("plain", "flat")
    write_bundle(tmp_path, models, images=pictures(), predict=predict, settings=settings())
    before = contents(tmp_path)
    other = dataclasses.replace(models[1], id="g1-0")
    elsewhere = dataclasses.replace(models[0], metadata={**models[0].metadata, "run": "another"})
    for entry in (other, elsewhere):
        with pytest.raises(ConfigError, match=r"holds another network as g1-0.onnx; choose another folder, or say --replace"):
            write_bundle(tmp_path, [entry], images=pictures(), predict=predict, settings=settings())
    with pytest.raises(ConfigError, match="checked on other images"):
        write_bundle(tmp_path, models, images=np.zeros_like(pictures()), predict=predict, settings=settings())
    assert contents(tmp_path) == before
    (tmp_path / "references.safetensors").write_bytes(b"x")
    with pytest.raises(ModelError, match="missing or was changed"):
        write_bundle(tmp_path, models, images=pictures(), predict=predict, settings=settings())
    write_bundle(tmp_path, [other], images=pictures(), predict=predict, settings=settings(), replace=True)
    assert [file.name for file in read_manifest(tmp_path).files] == ["g1-0.onnx"]
