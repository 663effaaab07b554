"""Bundles: what lands, what is refused, what verification finds."""

import dataclasses
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
import pytest
import torch

from hwnas.device import load_profile
from hwnas.errors import ConfigError, ExportError, ModelError
from hwnas.export import (
    BundleEntry,
    Evaluation,
    ExportSettings,
    Predict,
    Variant,
    classification_error,
    compare,
    export_model,
    read_manifest,
    reference_logits,
    runtime,
    verify_bundle,
    write_bundle,
)
from hwnas.graph import architecture_id
from tests.export.samples import images, random_state
from tests.graphs import SAMPLES

MEAN, STD = (0.4,), (0.25,)
FLOAT32 = Variant(precision="float32")
DOCUMENTS = ["README.md", "classify.py", "g1-0.md", "g1-0.onnx"]


@pytest.fixture(scope="module")
def predict() -> Predict:
    return runtime(load_profile("local-cpu"))


def entries(*names: str) -> list[BundleEntry]:
    made = []
    for place, name in enumerate(names):
        graph = SAMPLES[name]()
        metadata = {"validation_error": "0.25", "test_split_sha256": "0" * 64}
        made.append(BundleEntry(id=f"g1-{place}", graph=graph, state=random_state(graph), metadata=metadata))
    return made


def settings(**changes: object) -> ExportSettings:
    base = ExportSettings(classes=[str(digit) for digit in range(10)], mean=MEAN, std=STD)
    return dataclasses.replace(base, **changes)


def pictures(count: int = 40) -> np.ndarray:
    return images(SAMPLES["plain"](), count).numpy()


def labelled(model: BundleEntry, count: int = 100) -> Evaluation:
    """Images labelled with what the network says, every fifth one wrongly: an error of 0.2 in float32."""
    labels = reference_logits(model.graph, model.state, pictures(count), mean=MEAN, std=STD).argmax(1)
    labels[::5] = (labels[::5] + 1) % 10
    return Evaluation(images=pictures(count), labels=labels)


def test_what_lands_can_be_verified(tmp_path: Path, predict: Predict) -> None:
    models = entries("plain", "flat", "dense")
    manifest = write_bundle(tmp_path / "a" / "b", models, images=pictures(), predict=predict, settings=settings())
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["b"]
    assert {path.name for path in (tmp_path / "a" / "b").iterdir()} == manifest.names()
    assert [file.name for file in manifest.files] == ["g1-0.onnx", "g1-1.onnx", "g1-2.onnx"]
    assert read_manifest(tmp_path / "a" / "b") == manifest
    for model, file in zip(models, manifest.files, strict=True):
        assert file.architecture_id == architecture_id(model.graph)
        assert file.size_bytes == (tmp_path / "a" / "b" / file.name).stat().st_size
        assert file.difference <= 1e-5
        assert file.top1_agreement == 1.0
        assert file.metadata["validation_error"] == "0.25"
        assert json.loads(file.metadata["classes"]) == [str(digit) for digit in range(10)]
    reports = verify_bundle(tmp_path / "a" / "b", predict)
    assert [report.id for report in reports] == ["g1-0", "g1-1", "g1-2"]
    assert all(report.passed and report.difference is not None and report.difference <= 1e-5 for report in reports)


def test_precisions_carry_their_own_error(tmp_path: Path, predict: Predict) -> None:
    models = entries("plain")
    chosen = settings(
        precisions=("float32", "float16", "int8"), calibration=pictures(64), evaluation=labelled(models[0]), reduce_range=True
    )
    manifest = write_bundle(tmp_path, models, images=pictures(), predict=predict, settings=chosen)
    float32, float16, int8 = manifest.files
    assert (float32.name, float16.name, int8.name) == ("g1-0.onnx", "g1-0.float16.onnx", "g1-0.int8.onnx")
    for file in manifest.files:
        assert file.evaluated is not None
        assert file.error_change is not None
        assert file.evaluated.error == pytest.approx(0.2 + file.error_change)
        assert (file.evaluated.split, file.evaluated.images, file.evaluated.computed_on) == ("test", 100, "host")
        assert file.metadata["precision"] == file.precision
    assert float32.error_change == 0.0
    assert abs(int8.error_change or 0.0) <= 0.1
    assert "validation_error" not in int8.metadata
    assert int8.metadata["float32_validation_error"] == "0.25"
    assert float(int8.metadata["test_error"]) == int8.evaluated.error
    assert all(report.passed for report in verify_bundle(tmp_path, predict))


def test_guarded_files_lie_beside_the_others_with_their_own_error(tmp_path: Path, predict: Predict) -> None:
    models = entries("plain")
    chosen = settings(precisions=("float32", "int8"), guard=True, calibration=pictures(16) / 2, evaluation=labelled(models[0]))
    manifest = write_bundle(tmp_path, models, images=pictures(), predict=predict, settings=chosen)
    names = ["g1-0.onnx", "g1-0.int8.onnx", "g1-0.guard.onnx", "g1-0.int8.guard.onnx"]
    assert [file.name for file in manifest.files] == names
    assert [file.guarded for file in manifest.files] == [False, False, True, True]
    plain, int8, guard, int8_guard = manifest.files
    assert int8_guard.evaluated is not None
    assert int8_guard.sha256 != int8.sha256
    assert guard.difference > 1e-4 > plain.difference  # brighter images are clipped: reported, not refused
    assert guard.evaluated is not None
    assert guard.error_change == pytest.approx(guard.evaluated.error - 0.2)
    assert guard.metadata["guarded"] == "true"
    assert float(guard.metadata["test_error"]) == guard.evaluated.error
    assert guard.metadata["float32_validation_error"] == "0.25"
    assert "guarded" not in plain.metadata
    clips = [node for node in onnx.load(tmp_path / guard.name).graph.node if node.op_type == "Clip"]
    assert len(clips) >= 3
    assert all(report.passed and (report.difference or 0) <= 1e-5 for report in verify_bundle(tmp_path, predict))


def test_a_guard_needs_float32_or_int8_and_training_images() -> None:
    for changes in ({}, {"precisions": ("float16",), "calibration": pictures(8)}):
        with pytest.raises(ConfigError, match="guard"):
            settings(guard=True, **changes)


def test_a_bundle_replaces_a_bundle_and_nothing_else(tmp_path: Path, predict: Predict) -> None:
    write_bundle(tmp_path, entries("plain", "flat"), images=pictures(), predict=predict, settings=settings())
    write_bundle(tmp_path, entries("flat"), images=pictures(), predict=predict, settings=settings(), replace=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == [*DOCUMENTS, "manifest.json", "references.safetensors"]
    (tmp_path / "thesis.txt").write_text("mine")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(ConfigError, match=r"holds something else \(thesis.txt\)"):
        write_bundle(tmp_path, entries("plain"), images=pictures(), predict=predict, settings=settings(), replace=True)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    with pytest.raises(ConfigError, match="is a file"):
        write_bundle(tmp_path / "thesis.txt", entries("plain"), images=pictures(), predict=predict, settings=settings())


@pytest.mark.skipif(not os.path.isdir("/dev/shm"), reason="needs a second file system")
def test_a_bundle_may_lie_on_another_disk_than_the_folder_above_it(tmp_path: Path, predict: Predict) -> None:
    with TemporaryDirectory(dir="/dev/shm") as disk:
        (tmp_path / "bundle").symlink_to(disk)
        write_bundle(tmp_path / "bundle", entries("flat"), images=pictures(), predict=predict, settings=settings())
        assert verify_bundle(disk, predict)[0].passed
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


def test_what_a_killed_export_left_behind_goes_and_what_another_writes_stays(tmp_path: Path, predict: Predict) -> None:
    for name, hours in ((".hwnas-export-killed", 2), (".hwnas-export-at-work", 0)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "g1-0.onnx").touch()
        os.utime(tmp_path / name, (time.time() - 3600 * hours,) * 2)
    write_bundle(tmp_path, entries("flat"), images=pictures(), predict=predict, settings=settings())
    left = [".hwnas-export-at-work", *DOCUMENTS, "manifest.json", "references.safetensors"]
    assert sorted(path.name for path in tmp_path.iterdir()) == left
    assert (tmp_path / left[0] / "g1-0.onnx").exists()


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path, predict: Predict) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"cannot write .*bundle: Not a directory; choose another folder"):
        write_bundle(tmp_path / "file/bundle", entries("flat"), images=pictures(), predict=predict, settings=settings())


def wrong_by(relative: float, predict: Predict) -> Predict:
    """A runtime that errs: what a bug in the emitter or the runtime would look like."""

    def wrong(model: bytes, batch: np.ndarray) -> np.ndarray:
        logits = predict(model, batch)
        return logits + np.float32(relative * max(1.0, np.abs(logits).max()))

    return wrong


def test_a_wrong_file_never_lands(tmp_path: Path, predict: Predict) -> None:
    target = tmp_path / "bundle"
    write_bundle(target, entries("plain"), images=pictures(), predict=wrong_by(5e-5, predict), settings=settings())
    with pytest.raises(ExportError, match=r"differ from torch's by 0\.0002 of the largest"):
        write_bundle(tmp_path / "new", entries("plain"), images=pictures(), predict=wrong_by(2e-4, predict), settings=settings())
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]
    half, broken = settings(precisions=("float16",)), wrong_by(float("nan"), predict)
    with pytest.raises(ExportError, match="not finite"):
        export_model(entries("plain")[0], Variant(precision="float16"), images=pictures(), predict=broken, settings=half)


def damage_manifest(folder: Path) -> None:
    (folder / "manifest.json").write_text('{"format": "hwnas-bundle", "files": 3}')


def point_outside(folder: Path) -> None:
    text = (folder / "manifest.json").read_text()
    (folder / "manifest.json").write_text(text.replace('"g1-0.onnx"', '"../g1-0.onnx"'))


def damage_references(folder: Path) -> None:
    (folder / "references.safetensors").write_bytes(b"x")


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (damage_manifest, "not a bundle's manifest"),
        (point_outside, "not a bundle's manifest: files.0.name"),
        (damage_references, "missing or was changed"),
    ],
)
def test_a_damaged_bundle_is_refused(harm: Callable[[Path], None], message: str, tmp_path: Path, predict: Predict) -> None:
    write_bundle(tmp_path, entries("flat"), images=pictures(), predict=predict, settings=settings())
    harm(tmp_path)
    with pytest.raises(ModelError, match=message):
        verify_bundle(tmp_path, predict)


def test_no_bundle(tmp_path: Path, predict: Predict) -> None:
    with pytest.raises(ModelError, match=r"has no manifest\.json"):
        verify_bundle(tmp_path, predict)


def test_verification_names_the_file_that_is_wrong(tmp_path: Path, predict: Predict) -> None:
    write_bundle(tmp_path, entries("plain", "flat", "dense"), images=pictures(), predict=predict, settings=settings())
    (tmp_path / "g1-0.onnx").unlink()
    model = onnx.load(tmp_path / "g1-1.onnx")
    model.graph.initializer[0].raw_data = bytes(len(model.graph.initializer[0].raw_data))
    onnx.save(model, tmp_path / "g1-1.onnx")
    missing, changed, good = verify_bundle(tmp_path, predict)
    assert missing.problem == "the file is missing"
    assert changed.problem is not None
    assert "changed since the export" in changed.problem
    assert good.passed
    drifted = verify_bundle(tmp_path, wrong_by(1e-3, predict))[2]
    assert drifted.difference == pytest.approx(1e-3, rel=0.01)
    assert drifted.problem is not None
    assert "at most 0.0001" in drifted.problem


def test_images_of_another_size_are_refused(predict: Predict) -> None:
    made = export_model(entries("flat")[0], FLOAT32, images=pictures(2), predict=predict, settings=settings())
    with pytest.raises(ModelError, match=r"takes images \(n, 1, 8, 8\), got \(2, 1, 9, 9\)"):
        predict(made.model, np.zeros((2, 1, 9, 9), np.float32))


def test_a_model_that_hwnas_did_not_write_is_refused_when_it_runs(predict: Predict) -> None:
    made = export_model(entries("flat")[0], FLOAT32, images=pictures(2), predict=predict, settings=settings())
    for old, new, message in (("image", "x", "with the input 'image'"), ("logits", "y", "cannot run .*Invalid output name")):
        model = onnx.load_model_from_string(made.model)
        for put in (*model.graph.input, *model.graph.output):
            put.name = put.name.replace(old, new)
        for node in model.graph.node:
            node.input[:] = [new if name == old else name for name in node.input]
            node.output[:] = [new if name == old else name for name in node.output]
        with pytest.raises(ModelError, match=message):
            predict(model.SerializeToString(), pictures(2))
    with pytest.raises(ModelError, match=r"cannot run .*Unexpected input data type"):
        predict(made.model, pictures(2).astype(np.float64))


def test_requests_that_make_no_sense(tmp_path: Path, predict: Predict) -> None:
    with pytest.raises(ConfigError, match="among float32, float16, int8"):
        settings(precisions=("bfloat16",))
    with pytest.raises(ConfigError, match="training images to calibrate"):
        settings(precisions=("int8",))
    with pytest.raises(ConfigError, match="different ids"):
        write_bundle(tmp_path, [*entries("flat"), *entries("flat")], images=pictures(), predict=predict, settings=settings())
    with pytest.raises(ExportError, match="letters, digits"):
        dataclasses.replace(entries("flat")[0], id="../x")
    with pytest.raises(ExportError, match="one label for each image"):
        Evaluation(images=pictures(3), labels=np.zeros(2, np.int64))


def test_agreement_and_error_by_hand() -> None:
    expected = np.array([[0.0, 4.0], [1.0, -2.0]], np.float32)
    got = np.array([[0.0, 3.0], [1.0, 1.5]], np.float32)
    agreement = compare(got, expected)
    assert (agreement.difference, agreement.top1) == (3.5 / 4.0, 0.5)
    assert classification_error(got, np.array([1, 0])) == 0.5
    broken = np.array([[0.0, np.nan], [1.0, 0.0]], np.float32)
    assert compare(broken, expected).difference == float("inf")
    assert classification_error(broken, np.array([1, 0])) == 0.5
    with pytest.raises(ExportError, match="logits of shape"):
        compare(got[:1], expected)


def test_the_runtime_splits_large_batches(predict: Predict) -> None:
    model = entries("flat")[0]
    made = export_model(model, FLOAT32, images=pictures(2), predict=predict, settings=settings())
    many = torch.rand(300, 1, 8, 8, generator=torch.Generator().manual_seed(1)).numpy()
    np.testing.assert_allclose(
        predict(made.model, many), reference_logits(model.graph, model.state, many, mean=MEAN, std=STD), atol=1e-4
    )
