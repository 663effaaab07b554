"""From a run's stored networks to a bundle, and a bundle's errors on its own data: where store, data and export meet."""

import dataclasses
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from pydantic import TypeAdapter, ValidationError

from hwnas.config import settings_of
from hwnas.data import DataSet, DataSettings, load
from hwnas.deployed.program import Program
from hwnas.deployed.protection import map_shares
from hwnas.device import Fingerprint, HardwareProfile, load_profile
from hwnas.errors import ConfigError, DataError
from hwnas.export import (
    BundleEntry,
    Evaluation,
    ExportSettings,
    Manifest,
    ModelFile,
    Precision,
    Predict,
    classification_error,
    read_manifest,
    runtime,
    write_bundle,
)
from hwnas.models.deploying import calibration_images, pixels, reduces_range
from hwnas.models.loading import data_settings, refuse_untrained, stored_data, trained_state
from hwnas.resilience import FLOAT32, INT8, Format
from hwnas.store import Row, RunStore
from hwnas.version import __version__

_HOST = "local-cpu"
_split = TypeAdapter(dict[str, Any])
# What a bundle says of how its data were read; a bundle from elsewhere chooses no folder and nothing else.
_SPLIT = ("image_size", "fit", "group_by", "label_column", "validation_share", "test_share", "seed", "max_pixels")


def export_models(
    store: RunStore,
    rows: Sequence[Row],
    folder: Path,
    *,
    precisions: Sequence[str],
    guard: bool = False,
    guard_top: int | None = None,
    checksums: bool = False,
    replace: bool = False,
) -> Manifest:
    """Write trained candidates as a bundle, or into the one that is there, or with ``replace`` in its place.

    Reference images are of the validation split, calibration images of training.

    ``guard_top``: guarded files clip so many feature maps of each network, those where flips are expected to do most harm.
    ``checksums``: also a float32 file of each network whose checksums find flipped weights.
    Other precisions than float32, and guarded files, are evaluated on the test split, since nothing else tells their error.
    Raises RequestError where the data are not the run's, StoreError where stored weights are damaged; then nothing is written.
    """
    if guard_top is not None and guard_top < 1:
        raise ConfigError(f"--guard-top is how many feature maps are clipped, at least 1, got {guard_top}; --guard clips all")
    guard = guard or guard_top is not None
    refuse_untrained(rows, "exported")
    data = stored_data(store)
    counts = {"validation_images": str(len(data.validation)), "test_images": str(len(data.test))}
    facts = _metadata(store, data_settings(store)) | counts
    entries = [_entry(store, row, facts, data) for row in rows]
    if guard_top is not None:
        entries = [_protected(entry, data, precisions, guard_top) for entry in entries]
    return write_bundle(
        folder,
        entries,
        images=pixels(data.validation),
        predict=runtime(load_profile(_HOST)),
        settings=_settings(store, data, precisions, guard=guard, checksums=checksums),
        replace=replace,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class RecomputedError:
    """A file's error on the test split, a share in [0, 1] of ``images``, and the one its metadata state (None: none)."""

    error: float
    stated: float | None
    images: int

    @property
    def agrees(self) -> bool:
        """Whether both are the same within one image."""
        return self.stated is None or abs(self.error - self.stated) * self.images < 1.5


def recomputed_errors(folder: Path, source: str, predict: Predict) -> dict[str, RecomputedError]:
    """For each file of a bundle its error on the test split of ``source``, computed by ``predict``, by its name.

    Raises DataError where that split is not the one that the bundle's errors were computed on, or the bundle's metadata, which
    no hash guards, do not say.
    """
    manifest = read_manifest(folder)
    stated = manifest.files[0].metadata
    settings = _data_settings_from(stated, source)
    test = load(settings).test
    if test.sha256() != stated["test_sha256"]:
        raise DataError(
            f"the test split of {source} is not the one that the bundle's errors were computed on "
            f"(sha256 {test.sha256()}, expected {stated['test_sha256']})"
        )
    images, labels = pixels(test), test.labels.numpy()
    errors: dict[str, RecomputedError] = {}
    for file in manifest.files:
        error = classification_error(predict((folder / file.name).read_bytes(), images), labels)
        errors[file.name] = RecomputedError(error=error, stated=_stated(file), images=len(labels))
    return errors


def _stated(file: ModelFile) -> float | None:
    said = file.metadata.get("test_error")
    try:
        return None if said is None else float(said)
    except ValueError:
        raise DataError(f"{file.name} states a test error that is no number, {said!r}; export the bundle again") from None


def _data_settings_from(metadata: Mapping[str, str], source: str) -> DataSettings:
    if "data_settings" not in metadata or "test_sha256" not in metadata:
        raise DataError("this bundle does not say how its data were split; export it again with hwnas export")
    try:
        split = _split.validate_json(metadata["data_settings"])
    except ValidationError:
        raise DataError(f"the bundle's data_settings are damaged: {metadata['data_settings']!r}; export it again") from None
    if foreign := sorted(set(split) - set(_SPLIT)):
        raise DataError(f"the bundle's data_settings may say {', '.join(_SPLIT)}, and they say {foreign[0]!r}; export it again")
    settings = settings_of(DataSettings, split | {"source": source}, "the bundle's data_settings")
    return dataclasses.replace(
        settings, max_pixels=min(settings.max_pixels, DataSettings().max_pixels)
    )  # a limit is this machine's own to lift


def _metadata(store: RunStore, settings: DataSettings) -> dict[str, str]:
    """What every exported file says of the run it comes from; paths of this machine are left out."""
    split: dict[str, Any] = {name: getattr(settings, name) for name in _SPLIT}
    return {
        "test_sha256": store.meta("test_sha256", str),
        "data_name": store.meta("data_name", str),
        "data_fingerprint": store.meta("data_fingerprint", str),
        "data_settings": json.dumps(split),
        "run": os.path.basename(store.folder.resolve()).encode(errors="backslashreplace").decode(),
        "hwnas_version": __version__,
    }


def _entry(store: RunStore, row: Row, facts: Mapping[str, str], data: DataSet) -> BundleEntry:
    # The run's errors are those of its device's precision: a file in another one must not claim them as its own.
    profile = store.meta("profile", HardwareProfile)
    prefix = "" if profile.precision == "float32" else f"{profile.precision}_"
    validated = row.outcome is None or row.outcome.status != "unvalidated"
    metadata = {**facts} | ({f"{prefix}validation_error": repr(row.needed("plain_error"))} if validated else {})
    if "test_plain_error" in row.final:
        metadata[f"{prefix}test_error"] = repr(row.final["test_plain_error"])
    known = {**row.values, **row.final}
    if "latency_ms" in known:
        metadata |= {f"{prefix}{name}": repr(known[name]) for name in ("latency_ms", "latency_ci_ms") if name in known}
        metadata["device"] = profile.description
    if images := row.values.get("images"):
        learned = len(data.train) + (0 if validated else len(data.validation))
        length = "to the end" if row.is_trained else "briefly, as a search does; hwnas train continues"
        which = "" if validated else ", those of the validation split among them: nothing tells the validation error"
        metadata["training"] = f"{images / learned:.1f} passes over {learned:,} images, {length}{which}"
    return BundleEntry(id=row.id, graph=row.candidate.graph, state=trained_state(store, row), metadata=metadata)


def _protected(entry: BundleEntry, data: DataSet, precisions: Sequence[str], top: int) -> BundleEntry:
    """The network with the maps that its guarded files clip: the ``top`` of largest share in what flips are expected to do."""
    program = Program.of(entry.graph, entry.state, mean=data.mean, std=data.std)
    images = torch.from_numpy(calibration_images(data))
    layouts: dict[Precision, Format] = {"float32": FLOAT32, "int8": INT8}
    chosen: dict[Precision, tuple[str, ...]] = {
        precision: tuple(each.tensor for each in map_shares(program, images, layout)[:top])
        for precision, layout in layouts.items()
        if precision in precisions
    }
    return dataclasses.replace(entry, guarded=chosen)


def _settings(store: RunStore, data: DataSet, precisions: Sequence[str], *, guard: bool, checksums: bool) -> ExportSettings:
    profile, fingerprint = store.meta("profile", HardwareProfile), store.meta("device_fingerprint", Fingerprint | None)
    evaluation, calibration = None, None
    if guard or checksums or any(precision != "float32" for precision in precisions):
        evaluation = Evaluation(images=pixels(data.test), labels=data.test.labels.numpy())
        calibration = calibration_images(data)
    return ExportSettings(
        classes=data.classes,
        mean=data.mean,
        std=data.std,
        fit=data_settings(store).fit,
        precisions=cast(Sequence[Precision], precisions),  # checked by ExportSettings
        opset=profile.opset,
        ir_version=profile.ir_version,
        guard=guard,
        checksums=checksums,
        calibration=calibration,
        reduce_range=reduces_range(profile, fingerprint),
        evaluation=evaluation,
    )
