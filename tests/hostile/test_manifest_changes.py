"""``verify`` finds every change of a bundle: of its manifest's fields and entries, of its folder, and of both together."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import load_file, save_file

from hwnas.device import load_profile
from hwnas.errors import ModelError
from hwnas.export import BundleEntry, ExportSettings, Predict, runtime, verify_bundle, write_bundle
from hwnas.export.manifest import Manifest, sha256
from tests.export.samples import images, random_state
from tests.graphs import SAMPLES

Change = Callable[[dict[str, Any]], object]


@pytest.fixture(scope="module")
def predict() -> Predict:
    return runtime(load_profile("local-cpu"))


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory, predict: Predict) -> Path:
    folder = tmp_path_factory.mktemp("exported") / "bundle"
    entries = []
    for name in ("plain", "flat"):
        graph = SAMPLES[name]()
        entries.append(BundleEntry(id=f"g1-{name}", graph=graph, state=random_state(graph), metadata={"test_error": "0.25"}))
    settings = ExportSettings(classes=[str(digit) for digit in range(10)], precisions=("float32", "float16"))
    write_bundle(folder, entries, images=images(SAMPLES["plain"](), 4).numpy(), predict=predict, settings=settings)
    assert all(report.passed for report in verify_bundle(folder, predict))
    return folder


@pytest.fixture
def bundle(exported: Path, tmp_path: Path) -> Path:
    shutil.copytree(exported, tmp_path / "bundle")
    return tmp_path / "bundle"


def in_entry(field: str, value: object) -> Change:
    return lambda found: found["files"][0].__setitem__(field, value)


def in_metadata(field: str, value: str) -> Change:
    return lambda found: found["files"][0]["metadata"].__setitem__(field, value)


ENTRY_VALUES: dict[str, tuple[object, ...]] = {
    "size_bytes": (1, 0, -5, 2**62),
    "difference": (0.0, 1.0, -1.0, 1e300),
    "top1_agreement": (-5, 0.5, 2.0),
    "architecture_id": ("<script>", "", "0" * 16),
    "id": ("g9-9", "g1-flat", "x"),
    "precision": ("int8", "float16"),
    "guarded": (True,),
    "error_change": (0.0, -0.5, 1.0),
    "evaluated": (
        {"split": "test", "images": 10, "error": 0.0, "computed_on": "host"},
        {"split": "validation", "images": 1, "error": 1.0, "computed_on": "elsewhere"},
    ),
    "metadata": ({}, {"test_error": "0.0"}),
    "sha256": ("0" * 64, "f" * 64),
    "name": ("g1-flat.onnx", "absent.onnx", "../g1-plain.onnx", "/etc/passwd", "a/b.onnx", ".hidden"),
}
METADATA_VALUES = {
    "test_error": ("0.0", "-1", "nan", ""),
    "classes": ("[]", '["cat"]'),
    "id": ("g9-9",),
    "precision": ("int8",),
    "validation_error": ("0.0",),
    "foreign": ("x",),
}


def changes() -> Iterator[tuple[str, Change]]:
    for field, values in ENTRY_VALUES.items():
        for number, value in enumerate(values):
            yield f"{field}-{number}", in_entry(field, value)
    for field, texts in METADATA_VALUES.items():
        for text in texts:
            yield f"metadata.{field}-{text}", in_metadata(field, text)
    yield from {
        "hwnas_version": lambda found: found.update(hwnas_version="9.9.9"),
        "version": lambda found: found.update(version=2),
        "format": lambda found: found.update(format="bundle"),
        "references_sha256": lambda found: found.update(references_sha256="0" * 64),
        "classify_sha256": lambda found: found.update(classify_sha256="0" * 64),
        "no classify_sha256": lambda found: found.pop("classify_sha256"),
        "no sha256": lambda found: found.pop("sha256"),
        "another sha256": lambda found: found.update(sha256="0" * 64),
        "unknown field": lambda found: found.update(extra=1),
        "unknown field of an entry": lambda found: found["files"][0].update(extra=1),
        "test_error removed": lambda found: found["files"][0]["metadata"].pop("test_error"),
        "entry dropped": lambda found: found["files"].pop(),
        "entry twice": lambda found: found["files"].append(found["files"][0]),
        "entries in another order": lambda found: found["files"].reverse(),
        "entries swapped names": lambda found: found["files"][0].update(name=found["files"][1]["name"]),
        "no files": lambda found: found.update(files=[]),
    }.items()


CHANGES = dict(changes())


def finds(bundle: Path, predict: Predict) -> bool:
    try:
        return not all(report.passed for report in verify_bundle(bundle, predict))
    except ModelError:
        return True


def test_there_are_enough_changes() -> None:
    assert len(CHANGES) >= 60


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_change_of_the_manifest_is_found(change: Change, bundle: Path, predict: Predict) -> None:
    path = bundle / "manifest.json"
    found = json.loads(path.read_text())
    change(found)
    path.write_text(json.dumps(found))
    assert finds(bundle, predict)


DERIVED = ["size_bytes-0", "id-0", "precision-1", "guarded-0", "architecture_id-0", "metadata-0", "metadata-1", "entry twice"]
DERIVED += ["entry dropped", "metadata.test_error-0.0", "metadata.classes-[]", "test_error removed", "classify_sha256"]


@pytest.mark.parametrize("name", DERIVED)
def test_what_the_files_themselves_say_is_found_even_under_a_new_hash(name: str, bundle: Path, predict: Predict) -> None:
    path = bundle / "manifest.json"
    found = json.loads(path.read_text())
    CHANGES[name](found)
    path.write_text(Manifest.model_validate(found).sealed().model_dump_json())
    assert finds(bundle, predict)


def spelled_otherwise(bundle: Path) -> None:
    found = json.loads((bundle / "manifest.json").read_text())
    (bundle / "manifest.json").write_text(json.dumps(dict(reversed(found.items()))))


def filled_in(bundle: Path) -> None:
    (bundle / "g1-plain.md").write_text("who may use it, for what")


@pytest.mark.parametrize("harmless", [spelled_otherwise, filled_in])
def test_what_changes_nothing_is_no_change(harmless: Callable[[Path], None], bundle: Path, predict: Predict) -> None:
    harmless(bundle)
    assert not finds(bundle, predict)


def link_out(bundle: Path) -> None:
    shutil.copy(bundle / "g1-plain.onnx", bundle.parent / "outside.onnx")
    (bundle / "g1-plain.onnx").unlink()
    (bundle / "g1-plain.onnx").symlink_to(bundle.parent / "outside.onnx")


def foreign_tensor(bundle: Path) -> None:
    tensors = load_file(bundle / "references.safetensors")
    save_file(tensors | {"foreign": tensors["images"]}, bundle / "references.safetensors")
    manifest = Manifest.model_validate_json((bundle / "manifest.json").read_bytes())
    stored = sha256((bundle / "references.safetensors").read_bytes())
    (bundle / "manifest.json").write_text(manifest.model_copy(update={"references_sha256": stored}).sealed().model_dump_json())


FOLDER: dict[str, Callable[[Path], object]] = {
    "foreign model": lambda bundle: shutil.copy(bundle / "g1-plain.onnx", bundle / "evil.onnx"),
    "foreign script": lambda bundle: (bundle / "run_me.sh").write_text("#!/bin/sh"),
    "hidden file": lambda bundle: (bundle / ".hidden").touch(),
    "foreign folder": lambda bundle: (bundle / "folder").mkdir(),
    "script changed": lambda bundle: (bundle / "classify.py").write_text("print('pwned')"),
    "script is a folder": lambda bundle: ((bundle / "classify.py").unlink(), (bundle / "classify.py").mkdir()),
    "model missing": lambda bundle: (bundle / "g1-plain.onnx").unlink(),
    "references missing": lambda bundle: (bundle / "references.safetensors").unlink(),
    "link out of the folder": link_out,
    "foreign tensor": foreign_tensor,
}


@pytest.mark.parametrize("harm", FOLDER.values(), ids=FOLDER)
def test_a_change_of_the_folder_is_found(harm: Callable[[Path], object], bundle: Path, predict: Predict) -> None:
    harm(bundle)
    assert finds(bundle, predict)
