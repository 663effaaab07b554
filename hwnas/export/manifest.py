"""``manifest.json``: what a bundle holds, as it is written and as it is believed when read back."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hwnas.errors import ModelError
from hwnas.export.precision import Precision

MANIFEST = "manifest.json"
REFERENCES = "references.safetensors"
REFERENCE_IMAGES = 32
README, CLASSIFY = "README.md", "classify.py"  # for people; they may be changed or deleted
ID_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"  # no separators: a manifest from outside names no file outside its folder

FileName: TypeAlias = Annotated[str, Field(pattern=ID_PATTERN)]
Sha256: TypeAlias = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Evaluated(_Table):
    """A file's classification error in [0, 1], on how many images of which split, and on what it was computed."""

    split: Literal["validation", "test"]
    images: int
    error: float
    computed_on: str


class Checksums(_Table):
    """What a file's checksums were found to do: see ``hwnas.export.checksum_figures.Detection``.

    ``false_alarms``: of ``images`` images without a flip, how many raised an alarm. Shares are None where no flip was harmful.
    """

    flips: int
    harmful: int
    detected: int
    share: float | None
    share_low: float | None
    share_high: float | None
    answers: float | None
    false_alarms: int
    images: int


class ModelFile(_Table):
    """One exported file; ``guarded``: its activations are clipped to the range of training data; ``checksums``: it has checksums.

    ``difference`` is its largest logit difference from torch over max(1, largest logit), ``top1_agreement`` the share of
    reference images with torch's class; ``error_change`` its error minus the float32 network's on the same images.
    """

    name: FileName
    id: FileName
    architecture_id: str
    precision: Precision
    guarded: bool = False
    checksums: Checksums | None = None
    size_bytes: int
    sha256: Sha256
    difference: float
    top1_agreement: float
    evaluated: Evaluated | None = None
    error_change: float | None = None
    metadata: dict[str, str]

    @property
    def variant(self) -> "Variant":
        """Which of its network's files it is."""
        return Variant(precision=self.precision, guard=self.guarded, checksums=self.checksums is not None)


class Manifest(_Table):
    """A bundle's files and the hashes of its stored reference inputs and logits, of its script, and of all this.

    ``sha256`` is None, and ``classify_sha256`` too, in bundles of versions that did not write them. A hash finds what was damaged
    or changed by hand; it is no signature, and whoever changes a bundle on purpose can recompute it.
    """

    format: Literal["hwnas-bundle"] = "hwnas-bundle"
    version: Literal[1] = 1
    hwnas_version: str
    references_sha256: Sha256
    classify_sha256: Sha256 | None = None
    files: tuple[ModelFile, ...] = Field(min_length=1)
    sha256: Sha256 | None = None

    def __repr__(self) -> str:
        return f"<bundle of {', '.join(file.name for file in self.files)}>"

    def content_sha256(self) -> str:
        """What ``sha256`` must be: the hash of everything else, however it is laid out in the file."""
        said = self.model_dump(mode="json", exclude={"sha256"})
        return sha256(json.dumps(said, sort_keys=True, separators=(",", ":")).encode())

    def sealed(self) -> "Manifest":
        """The same with its own hash."""
        return self.model_copy(update={"sha256": self.content_sha256()})

    def names(self) -> set[str]:
        """Every file name in the bundle's folder."""
        documents = {README, CLASSIFY} | {card_name(file.name) for file in self.files}
        return {MANIFEST, REFERENCES} | {file.name for file in self.files} | documents


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One of the files that a network becomes: in which precision, whether guarded, whether with checksums."""

    precision: Precision
    guard: bool = False
    checksums: bool = False

    @property
    def is_exact(self) -> bool:
        """Whether it computes what the trained network computes, but for the rounding of float32."""
        return self.precision == "float32" and not self.guard

    def file_name(self, entry_id: str) -> str:
        """The name of a network's file: ``g2-6.onnx``, ``g2-6.int8.guard.onnx``."""
        words = ((self.precision, self.precision != "float32"), ("guard", self.guard), ("checksums", self.checksums))
        return ".".join([entry_id, *(word for word, is_so in words if is_so), "onnx"])


def card_name(name: str) -> str:
    """The name of a model's card, from that of its file: ``g2-6.int8.md``."""
    return f"{name.removesuffix('.onnx')}.md"


def sha256(content: bytes) -> str:
    """64 hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a bundle. Raises ModelError where the folder holds none or it is damaged."""
    path = folder / MANIFEST
    if not path.is_file():
        raise ModelError(f"{folder} is not a bundle: it has no {MANIFEST}; `hwnas export` makes one")
    try:
        return Manifest.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror}; check its permissions") from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise ModelError(f"{path} is not a bundle's manifest: {place}: {first['msg']}; export the bundle again") from error
