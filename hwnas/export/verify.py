"""Checking a bundle later, elsewhere, without torch's network or the data set: hashes, and parity on the stored inputs."""

import os
from dataclasses import dataclass
from pathlib import Path

import onnx

from hwnas.errors import DeviceError, ExportError, ModelError
from hwnas.export.checksum_figures import mismatches
from hwnas.export.checksums import alarms
from hwnas.export.manifest import CLASSIFY, MANIFEST, REFERENCES, Manifest, ModelFile, read_manifest, sha256
from hwnas.export.parity import TOLERANCES, Array, Predict, compare
from hwnas.export.precision import Precision
from hwnas.export.references import read_references


@dataclass(frozen=True, slots=True, kw_only=True)
class FileReport:
    """What became of one file; ``problem`` is None where it is as it was exported and computes what it computed.

    ``difference`` is the largest logit difference over max(1, largest logit), None where the file could not be run; ``allowed``
    is its limit.
    """

    name: str
    id: str
    precision: Precision
    difference: float | None
    allowed: float
    problem: str | None

    @property
    def passed(self) -> bool:
        """Whether nothing is wrong."""
        return self.problem is None


def verify_bundle(folder: str | os.PathLike[str], predict: Predict) -> list[FileReport]:
    """A report for every file that the manifest names, in its order.

    Args:
        folder: what ``write_bundle`` wrote.
        predict: runs a file, as ``runtime(profile)`` and ``Device.predict`` do.

    Raises:
        ModelError: the folder is no bundle, it holds something else besides, or its manifest, script or stored references were
            changed.
    """
    place = Path(folder)
    manifest = read_manifest(place)
    _check_manifest(place, manifest)
    _check_folder(place, manifest)
    references = read_references(place, manifest.references_sha256)
    missing = [file.name for file in manifest.files if f"logits/{file.name}" not in references]
    if missing or "images" not in references:
        raise ModelError(f"{place / REFERENCES} lacks the images, or logits of {missing}; export the bundle again")
    if foreign := set(references) - {"images", *(f"logits/{file.name}" for file in manifest.files)}:
        raise ModelError(f"{place / REFERENCES} holds {sorted(foreign)[0]!r}, which no file needs; export the bundle again")
    return [_verify(place, file, references["images"], references[f"logits/{file.name}"], predict) for file in manifest.files]


def _check_manifest(folder: Path, manifest: Manifest) -> None:
    path, names = folder / MANIFEST, [file.name for file in manifest.files]
    if manifest.sha256 is None:
        raise ModelError(
            f"{path} has no hash of itself: an older hwnas wrote it, or it was changed since; export the bundle again"
        )
    if manifest.sha256 != manifest.content_sha256():
        raise ModelError(f"{path} was changed since the export: its own sha256 is another; export the bundle again")
    if len(set(names)) < len(names):
        raise ModelError(f"{path} names a file twice; export the bundle again")


def _check_folder(folder: Path, manifest: Manifest) -> None:
    """Raise ModelError for what an export did not write: another file, a link, another script.

    A missing model has a report of its own; a card or README that its user filled in, or threw away, is the user's own business.
    """
    try:
        inside = sorted(folder.iterdir())
    except OSError as error:
        raise ModelError(f"{folder}: cannot be read: {error.strerror}; check its permissions") from error
    if foreign := [path.name for path in inside if path.name not in manifest.names()]:
        raise ModelError(
            f"{folder} holds what no export wrote there: {', '.join(map(repr, foreign[:3]))}; move it elsewhere, or export again"
        )
    if links := [path.name for path in inside if path.is_symlink() or not path.is_file()]:
        raise ModelError(f"{folder / links[0]} is a link or no regular file, which an export writes; export the bundle again")
    script = folder / CLASSIFY
    try:
        if script.exists() and sha256(script.read_bytes()) != manifest.classify_sha256:
            raise ModelError(f"{script} was changed since the export: do not run it unread; export the bundle again")
    except OSError as error:
        raise ModelError(f"{script}: cannot be read: {error.strerror}; check its permissions") from error


def _disagreement(file: ModelFile, model: bytes) -> str | None:
    """What the manifest says of a file that the file itself says otherwise; None where nothing is."""
    held = {item.key: item.value for item in onnx.load_model_from_string(model).metadata_props}
    wrong = {
        "size_bytes": file.size_bytes != len(model),
        "name": file.name != file.variant.file_name(file.id),
        "metadata": file.metadata != held,
        "id": held.get("id", file.id) != file.id,
        "precision": held.get("precision", file.precision) != file.precision,
        "architecture_id": held.get("architecture_id", file.architecture_id) != file.architecture_id,
    }
    return next((f"the manifest's {field} is not the file's own" for field, is_wrong in wrong.items() if is_wrong), None)


def _alarm(file: ModelFile, model: bytes, images: Array) -> str | None:
    """What is wrong with a file's checksums, on this machine; None where nothing is, or where it has none."""
    if file.checksums is None:
        return None
    try:
        raised = int(alarms(mismatches(model, images)).sum())
    except (ModelError, DeviceError) as error:
        return f"its checksums cannot be computed here: {error}"
    return f"its checksums raise an alarm for {raised} of {len(images)} reference images, without a fault" if raised else None


def _verify(folder: Path, file: ModelFile, images: Array, expected: Array, predict: Predict) -> FileReport:
    allowed = TOLERANCES[file.precision]

    def report(difference: float | None, problem: str | None) -> FileReport:
        return FileReport(
            name=file.name, id=file.id, precision=file.precision, difference=difference, allowed=allowed, problem=problem
        )

    path = folder / file.name
    if not path.is_file():
        return report(None, "the file is missing")
    try:
        model = path.read_bytes()
    except OSError as error:
        return report(None, f"the file cannot be read: {error.strerror}")
    if sha256(model) != file.sha256:
        return report(None, "the file was changed since the export: its sha256 is another")
    try:
        difference = compare(predict(model, images), expected).difference
    except (ModelError, DeviceError, ExportError) as error:
        return report(None, f"it cannot be run here: {error}")
    if difference <= allowed:
        return report(difference, _disagreement(file, model) or _alarm(file, model, images))
    hint = "; a CPU without int8 dot instructions needs a file exported with reduce_range" if file.precision == "int8" else ""
    return report(difference, f"logits differ by {difference:.2g} of the largest one, at most {allowed:g} is allowed{hint}")
