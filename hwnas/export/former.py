"""The bundle that is in a folder already, and that new files are added to."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hwnas.errors import ConfigError
from hwnas.export.manifest import Manifest, ModelFile
from hwnas.export.parity import Array
from hwnas.export.references import read_references

ADVICE = "choose another folder, or say --replace to write the bundle again: what it holds now is deleted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """What tells two files of one name apart: the network's architecture, and the run that trained it (None: not recorded)."""

    architecture_id: str
    run: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Former:
    """A bundle's files, and its stored images and logits by name."""

    folder: Path
    files: tuple[ModelFile, ...]
    tensors: dict[str, Array]

    @classmethod
    def read(cls, folder: Path, manifest: Manifest) -> "Former":
        """The bundle in a folder. Raises ModelError where its references are damaged."""
        return cls(folder=folder, files=manifest.files, tensors=read_references(folder, manifest.references_sha256))

    def refuse_other(self, wanted: Mapping[str, Origin], images: Array) -> None:
        """Raise ConfigError where it holds another network under one of these names, or was checked on other images."""
        known = {file.name: Origin(architecture_id=file.architecture_id, run=file.metadata.get("run")) for file in self.files}
        if others := [name for name, origin in wanted.items() if known.get(name, origin) != origin]:
            raise ConfigError(f"{self.folder} holds another network as {', '.join(others[:3])}; {ADVICE}")
        if not np.array_equal(self.tensors["images"], images):
            raise ConfigError(f"{self.folder} holds networks that were checked on other images, so of other data; {ADVICE}")

    def without(self, new: Sequence[ModelFile]) -> tuple[ModelFile, ...]:
        """Its files but those that are written again."""
        names = {file.name for file in new}
        return tuple(file for file in self.files if file.name not in names)
