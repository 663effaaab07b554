"""Checking a bundle later, elsewhere, without torch's network or the data set: hashes, and parity on the stored inputs."""

import os
from dataclasses import dataclass
from pathlib import Path

from hwnas.errors import DeviceError, ExportError, ModelError
from hwnas.export.manifest import REFERENCES, ModelFile, read_manifest, sha256
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
        ModelError: the folder is no bundle, or its manifest or stored references are damaged.
    """
    place = Path(folder)
    manifest = read_manifest(place)
    references = read_references(place, manifest.references_sha256)
    missing = [file.name for file in manifest.files if f"logits/{file.name}" not in references]
    if missing or "images" not in references:
        raise ModelError(f"{place / REFERENCES} lacks the images, or logits of {missing}; export the bundle again")
    return [_verify(place, file, references["images"], references[f"logits/{file.name}"], predict) for file in manifest.files]


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
        return report(difference, None)
    hint = "; a CPU without int8 dot instructions needs a file exported with reduce_range" if file.precision == "int8" else ""
    return report(difference, f"logits differ by {difference:.2g} of the largest one, at most {allowed:g} is allowed{hint}")
