"""The bundle: a folder of ONNX files that were checked before they came into it."""

import contextlib
import os
import re
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
from numpy.typing import NDArray
from safetensors.numpy import save
from torch import Tensor

from hwnas.errors import ConfigError, ExportError, ModelError
from hwnas.export.checksum_figures import detection, mismatches
from hwnas.export.checksums import alarms, with_checksums
from hwnas.export.documents import documents
from hwnas.export.emit import class_names, emit
from hwnas.export.former import Former, Origin
from hwnas.export.guard import INT8_COVERAGE, guarded
from hwnas.export.manifest import (
    CLASSIFY,
    ID_PATTERN,
    MANIFEST,
    REFERENCE_IMAGES,
    REFERENCES,
    Checksums,
    Evaluated,
    Manifest,
    ModelFile,
    Variant,
    read_manifest,
    sha256,
)
from hwnas.export.model_input import input_metadata
from hwnas.export.parity import TOLERANCES, Array, Predict, classification_error, compare, reference_logits
from hwnas.export.precision import PRECISIONS, Precision, convert
from hwnas.graph import Graph, architecture_id
from hwnas.objectives.share import interval_95
from hwnas.version import __version__

WAITING = ".hwnas-export-"  # where files wait until all are written; an export that was killed leaves it behind
ABANDONED_S = 3600.0  # old enough that no export still waits there: writing the files is a matter of seconds
GUARDED: tuple[Precision, ...] = ("float32", "int8")  # what a guard is for


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleEntry:
    """A trained network to export: its id (the file's name), graph, state and what its metadata shall say besides.

    ``guarded``: the stored tensors that its guarded file of a precision clips; all of them in those that are not named.
    """

    id: str
    graph: Graph
    state: Mapping[str, Tensor]
    metadata: Mapping[str, str] = field(default_factory=dict)
    guarded: Mapping[Precision, tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not re.match(ID_PATTERN, self.id):
            raise ExportError(f"expected an id of letters, digits, '.', '_' and '-', got {self.id!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """Labelled images (n, C, H, W) in [0, 1] and (n,), of which split, and what ``predict`` computes on ("host", a device)."""

    images: Array
    labels: NDArray[np.int64]
    split: str = "test"
    computed_on: str = "host"

    def __post_init__(self) -> None:
        if self.split not in ("validation", "test") or len(self.images) != len(self.labels) or not len(self.labels):
            raise ExportError(
                f"expected one label for each image of the validation or test split, got {len(self.labels)} labels for "
                f"{len(self.images)} images of {self.split!r}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportSettings:
    """How networks become files.

    ``mean`` and ``std`` are the training images' per channel; ``fit`` is how images were brought to one size, which the files
    say; ``calibration`` (n, C, H, W) are training images, needed for int8 and ``guard``, which adds to each float32 and int8 file
    one with its activations clipped, and for ``checksums``, which add a float32 file with an output more; ``reduce_range`` is for
    devices without int8 dot instructions.
    """

    classes: Sequence[str]
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    fit: str = "crop"
    precisions: Sequence[Precision] = ("float32",)
    opset: int = 17
    ir_version: int = 8
    reduce_range: bool = False
    guard: bool = False
    checksums: bool = False
    calibration: Array | None = None
    evaluation: Evaluation | None = None

    def __post_init__(self) -> None:
        unknown = [precision for precision in self.precisions if precision not in PRECISIONS]
        if unknown or not self.precisions or len(set(self.precisions)) != len(self.precisions):
            raise ConfigError(f"expected precisions among {', '.join(PRECISIONS)}, each once, got {list(self.precisions)}")
        if "int8" in self.precisions and self.calibration is None:
            raise ConfigError("int8 needs training images to calibrate on; give the data, or leave int8 out")
        if self.guard and (self.calibration is None or not set(GUARDED) & set(self.precisions)):
            raise ConfigError(
                f"a guard is for {' and '.join(GUARDED)} files and needs training images; add one of them, or no guard"
            )
        if self.checksums and (self.calibration is None or "float32" not in self.precisions):
            raise ConfigError("checksums are for float32 files and need training images; add float32, or leave checksums out")

    def variants(self) -> list[Variant]:
        """The files of each network."""
        plain = [Variant(precision=precision) for precision in self.precisions]
        guards = [
            Variant(precision=precision, guard=True) for precision in self.precisions if self.guard and precision in GUARDED
        ]
        return [*plain, *guards, *([Variant(precision="float32", checksums=True)] if self.checksums else [])]


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """One checked file: its bytes, its entry in the manifest, and the logits to verify it by, (n, classes)."""

    model: bytes
    file: ModelFile
    logits: Array


def write_bundle(
    folder: str | os.PathLike[str],
    entries: Sequence[BundleEntry],
    *,
    images: Array,
    predict: Predict,
    settings: ExportSettings,
    replace: bool = False,
) -> Manifest:
    """Write every network in every precision into ``folder``, with a card for each, or nothing at all.

    Args:
        folder: new, empty, or a bundle, which the files are added to; with ``replace`` it is replaced.
        entries: the networks; their ids differ.
        images: real ones (n, C, H, W) in [0, 1]; the first 32 are the reference inputs, stored beside the models.
        predict: runs a file, as ``runtime(profile)`` and ``Device.predict`` do.
        settings: how networks become files.

    Raises:
        ConfigError: the folder holds something else, or other files of these names, or cannot be written; or there is nothing to
            export.
        ModelError: the bundle that the files are to be added to is damaged.
        ExportError: a file does not compute what its network computes; nothing was written.
    """
    target = Path(folder)
    there, names = _bundle_in(target)
    ids = [entry.id for entry in entries]
    if not ids or len(set(ids)) != len(ids) or not len(images):
        raise ConfigError(f"expected models with different ids and at least one image, got {ids} and {len(images)} images")
    references = np.ascontiguousarray(images[:REFERENCE_IMAGES], np.float32)
    old = None if replace or there is None else Former.read(target, there)
    if old is not None:
        old.refuse_other(_wanted(entries, settings), references)
    exported = [
        export_model(entry, variant, images=references, predict=predict, settings=settings)
        for entry in entries
        for variant in settings.variants()
    ]
    new = tuple(made.file for made in exported)
    tensors = {"images": references} | {f"logits/{made.file.name}": made.logits for made in exported}
    stored = save(tensors if old is None else old.tensors | tensors)
    kept = () if old is None else old.without(new)
    manifest = Manifest(hwnas_version=__version__, references_sha256=sha256(stored), files=(*kept, *new))
    texts = documents(manifest, new)
    manifest = manifest.model_copy(update={"classify_sha256": sha256(texts[CLASSIFY])}).sealed()
    contents = {made.file.name: made.model for made in exported} | {REFERENCES: stored} | texts
    _land(target, contents | {MANIFEST: manifest.model_dump_json(indent=2).encode()})
    for name in names - manifest.names():
        (target / name).unlink(missing_ok=True)
    return manifest


def _wanted(entries: Sequence[BundleEntry], settings: ExportSettings) -> dict[str, Origin]:
    """Which files there will be, and what each is of."""
    return {
        variant.file_name(entry.id): Origin(architecture_id=architecture_id(entry.graph), run=entry.metadata.get("run"))
        for entry in entries
        for variant in settings.variants()
    }


def export_model(
    entry: BundleEntry,
    variant: Variant,
    *,
    images: Array,
    predict: Predict,
    settings: ExportSettings,
) -> Exported:
    """One network as one checked file: valid ONNX; float32 within 1e-4 of torch; others with their error beside float32's.

    A guarded file is one of the others: it differs where an image goes beyond what the training images showed. One with
    checksums is exact, and raises no alarm for these images. Raises ExportError where it is not.
    """
    exact, precision = variant.is_exact, variant.precision
    name = variant.file_name(entry.id)
    float32 = _float32(entry, variant, settings)
    model = convert(float32, precision, calibration=settings.calibration, reduce_range=settings.reduce_range)
    expected = reference_logits(entry.graph, entry.state, images, mean=settings.mean, std=settings.std)
    _check_onnx(name, model)
    got = predict(model, images)
    agreement = compare(got, expected)
    _check_logits(name, got, agreement.difference, TOLERANCES[precision] if exact else None)
    checksums = _checksums(name, model, images, settings) if variant.checksums else None
    evaluated, change = _evaluate(float32, model, predict, settings.evaluation)
    if evaluated is not None and not exact:
        model = _with_metadata(model, f"{evaluated.split}_error", repr(evaluated.error))
    file = ModelFile(
        name=name,
        id=entry.id,
        architecture_id=architecture_id(entry.graph),
        precision=precision,
        guarded=variant.guard,
        checksums=checksums,
        size_bytes=len(model),
        sha256=sha256(model),
        difference=agreement.difference,
        top1_agreement=agreement.top1,
        evaluated=evaluated,
        error_change=change,
        metadata={item.key: item.value for item in onnx.load_model_from_string(model).metadata_props},
    )
    return Exported(model=model, file=file, logits=expected if exact else got)


def _float32(entry: BundleEntry, variant: Variant, settings: ExportSettings) -> bytes:
    """The float32 file that a variant is, or is made of."""
    only = entry.guarded.get(variant.precision) if variant.guard else None
    facts = {"id": entry.id, "precision": variant.precision}
    if variant.guard:
        facts["guarded"] = "true" if only is None else ", ".join(only)
    model = emit(
        entry.graph,
        entry.state,
        mean=settings.mean,
        std=settings.std,
        metadata=class_names(settings.classes) | _input(entry, settings) | facts | _metadata(entry, variant),
        opset=settings.opset,
        ir_version=settings.ir_version,
    )
    if variant.guard and settings.calibration is not None:
        coverage = INT8_COVERAGE if variant.precision == "int8" else 1.0
        model = guarded(model, settings.calibration, coverage=coverage, only=only)
    if variant.checksums and settings.calibration is not None:
        model = with_checksums(model, settings.calibration)
    return model


def _checksums(name: str, model: bytes, images: Array, settings: ExportSettings) -> Checksums:
    """What a file's checksums find. Raises ExportError where they raise an alarm on ``images`` though nothing flipped."""
    if alarms(mismatches(model, images)).any():
        raise ExportError(f"{name}: its checksums raise an alarm without a fault; nothing was written. Please report this")
    found, looked = detection(model, images), images if settings.evaluation is None else settings.evaluation.images
    low, high = (None, None) if found.share is None else interval_95(found.share, round(max(1.0, found.effective)))
    return Checksums(
        flips=found.flips,
        harmful=found.harmful,
        detected=found.detected,
        share=found.share,
        share_low=low,
        share_high=high,
        answers=found.answers,
        false_alarms=int(alarms(mismatches(model, looked)).sum()),
        images=len(looked),
    )


def _check_logits(name: str, got: Array, difference: float, allowed: float | None) -> None:
    if allowed is not None and not difference <= allowed:
        raise ExportError(
            f"{name}: logits differ from torch's by {difference:.2g} of the largest one, at most "
            f"{allowed:.0e} is allowed; nothing was written. Please report this"
        )
    if not np.isfinite(got).all():
        raise ExportError(f"{name} gives logits that are not finite; leave this precision out for this model")


def _input(entry: BundleEntry, settings: ExportSettings) -> dict[str, str]:
    return input_metadata(entry.graph.shapes[entry.graph.input.id], settings.fit)


def _metadata(entry: BundleEntry, variant: Variant) -> dict[str, str]:
    """The caller's metadata; in a file that computes otherwise what is known of the float32 network must not pass for its own."""
    if variant.is_exact and not variant.checksums:
        return dict(entry.metadata)
    measured = ("latency_ms", "latency_ci_ms") if variant.is_exact else ("_error", "latency_ms", "latency_ci_ms")
    return {f"float32_{key}" if key.endswith(measured) else key: value for key, value in entry.metadata.items()}


def _check_onnx(name: str, model: bytes) -> None:
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ExportError(f"{name} is not valid ONNX: {error}. Please report this") from error


def _evaluate(
    float32: bytes, model: bytes, predict: Predict, evaluation: Evaluation | None
) -> tuple[Evaluated | None, float | None]:
    if evaluation is None:
        return None, None
    error = classification_error(predict(model, evaluation.images), evaluation.labels)
    before = error if model == float32 else classification_error(predict(float32, evaluation.images), evaluation.labels)
    evaluated = Evaluated.model_validate(
        {"split": evaluation.split, "images": len(evaluation.labels), "error": error, "computed_on": evaluation.computed_on}
    )
    return evaluated, error - before


def _with_metadata(model: bytes, key: str, value: str) -> bytes:
    proto = onnx.load_model_from_string(model)
    proto.metadata_props.add(key=key, value=value)
    serialised: bytes = proto.SerializeToString()
    return serialised


def _bundle_in(folder: Path) -> tuple[Manifest | None, set[str]]:
    """The manifest of the bundle in a folder, if any, and the names there. Raises ConfigError if there is anything else."""
    if not folder.exists():
        return None, set()
    if not folder.is_dir():
        raise ConfigError(f"{folder} is a file; give a folder for the bundle")
    names = {path.name for path in folder.iterdir() if not path.name.startswith(WAITING)}
    if not names:
        return None, names
    try:
        manifest = read_manifest(folder)
        foreign = names - manifest.names()
    except ModelError:
        foreign = names
    if foreign:
        raise ConfigError(
            f"{folder} holds something else ({', '.join(sorted(foreign)[:3])}); give a new folder, or one that hwnas export wrote"
        )
    return manifest, names


def _land(folder: Path, contents: Mapping[str, bytes]) -> None:
    """Each file appears whole; the manifest, which is last, after all that it names. Raises ConfigError where none can."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for left in folder.glob(f"{WAITING}*"):
            with contextlib.suppress(FileNotFoundError):  # another export has just ended
                if time.time() - left.stat().st_mtime > ABANDONED_S:
                    shutil.rmtree(left)
        # In the folder, not beside it: what lies there may be another disk's, or another user's.
        with TemporaryDirectory(dir=folder, prefix=WAITING) as waiting:
            for name, content in contents.items():
                (Path(waiting) / name).write_bytes(content)
            for name in contents:
                os.replace(Path(waiting) / name, folder / name)
    except OSError as error:
        raise ConfigError(f"cannot write {folder}: {error.strerror}; choose another folder") from error
