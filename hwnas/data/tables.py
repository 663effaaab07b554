"""Rows of encoded images and labels, read through Hugging Face `datasets` (extra `data`); nothing contacts a hub."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
import pyarrow
from datasets.data_files import DataFilesDict, DataFilesList
from datasets.packaged_modules.imagefolder.imagefolder import ImageFolder
from datasets.packaged_modules.parquet.parquet import Parquet

from hwnas.data.files import SourceFiles
from hwnas.errors import DataError

_BATCH_ROWS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One image as it is stored: its bytes or its file, its raw label, the text to group by, and its name in messages."""

    where: str
    encoded: bytes | Path
    label: int | str
    group: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """The rows of one split; `names` are the classes that a ClassLabel column states, None where labels are plain values."""

    split: str
    files: SourceFiles
    stream: Any
    image: str
    label: str
    group: str | None
    names: tuple[str, ...] | None

    def __iter__(self) -> Iterator[Row]:
        number = 0
        for batch in self._batches():
            images = batch[self.image].to_pylist()
            labels = batch[self.label].to_pylist()
            groups = batch[self.group].to_pylist() if self.group else [None] * len(images)
            for image, label, group in zip(images, labels, groups, strict=True):
                yield self._row(number, image, label, group)
                number += 1

    def _batches(self) -> Iterator[pyarrow.Table]:
        batches = iter(self.stream.iter(batch_size=_BATCH_ROWS))
        try:
            while (batch := _quiet_next(batches)) is not None:
                yield batch
        except (pyarrow.ArrowException, datasets.exceptions.DatasetsError, OSError) as error:
            raise DataError(
                f"the {self.split} files in {self.files.source} cannot be read ({error}); fetch them again"
            ) from error

    def _row(self, number: int, image: dict[str, Any] | bytes | None, label: int | str | None, group: object) -> Row:
        content, path = (image.get("bytes"), image.get("path") or "") if isinstance(image, dict) else (image, "")
        if content is None and Path(path).is_relative_to(self.files.root):
            path = Path(path).relative_to(self.files.root).as_posix()
        where = f"row {number} of the {self.split} split in {self.files.source}" + (f" ({path})" if path else "")
        if content is None and not path:
            raise DataError(f"{where} holds no image; remove the row")
        if label is None or (self.names is not None and not 0 <= int(label) < len(self.names)):
            raise DataError(f"{where} has no valid label ({label}); remove the row, or the file where it is an unlabelled one")
        encoded = self.files.root / path if content is None else content
        if content is None and not os.path.isfile(encoded):  # a pipe or a device would keep us waiting
            raise DataError(f"{where} names no regular file; bring the file, or remove the row")
        return Row(where=where, encoded=encoded, label=label, group=path if self.group is None else str(group))


def open_tables(files: SourceFiles, label_column: str | None, group_column: str | None) -> dict[str, Table]:
    """Return the tables of the splits; raises DataError where a column is missing or ambiguous.

    group_column: `path` is the image's own path where no column has that name.
    """
    tables = {}
    for split, stream in _streams(files).items():
        features = stream.features
        image = _image_column(features, files)
        label = _label_column(features, label_column, files)
        group = None if split != "train" or (group_column == "path" and "path" not in features) else group_column
        if group is not None and group not in features:
            raise DataError(f"there is no column {group!r} to group by in {files.source}; it has {', '.join(features)}")
        names = tuple(features[label].names) if isinstance(features[label], datasets.ClassLabel) else None
        wanted = [image, label] + ([group] if group and group not in (image, label) else [])
        if isinstance(features[image], datasets.Image):
            stream = stream.cast_column(image, datasets.Image(decode=False))
        stream = stream.select_columns(wanted).with_format("arrow")
        tables[split] = Table(split=split, files=files, stream=stream, image=image, label=label, group=group, names=names)
    return tables


def _streams(files: SourceFiles) -> dict[str, Any]:
    """Open the files with the builders themselves: `load_dataset` would report its use to a server."""
    data_files = DataFilesDict(
        {split: DataFilesList(list(map(str, paths)), [(str(path),) for path in paths]) for split, paths in files.splits.items()}
    )
    with tempfile.TemporaryDirectory(prefix="hwnas-") as folder, _quiet():
        try:
            if files.kind == "parquet":
                builder = Parquet(cache_dir=folder, data_files=data_files, batch_size=_BATCH_ROWS)
            else:
                builder = ImageFolder(cache_dir=folder, data_files=data_files, drop_labels=False)
            return dict(builder.as_streaming_dataset())
        except (pyarrow.ArrowException, datasets.exceptions.DatasetsError, OSError, ValueError) as error:
            raise DataError(f"{files.source} cannot be read as a data set ({error}); fetch or write it again") from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep `datasets` from logging the errors that we raise."""
    verbosity = datasets.logging.get_verbosity()
    datasets.logging.set_verbosity(datasets.logging.CRITICAL)
    try:
        yield
    finally:
        datasets.logging.set_verbosity(verbosity)


def _quiet_next(batches: Iterator[pyarrow.Table]) -> pyarrow.Table | None:
    with _quiet():
        return next(batches, None)


def _image_column(features: Any, files: SourceFiles) -> str:
    found = [name for name, feature in features.items() if isinstance(feature, datasets.Image)]
    # Without the `huggingface` metadata an image is a plain struct of bytes and path.
    found = found or [name for name, feature in features.items() if isinstance(feature, dict) and "bytes" in feature]
    found = found or [name for name in ("image", "img") if name in features]
    if not found:
        raise DataError(f"no image column in {files.source}; expected image: {{bytes, path}}, found {', '.join(features)}")
    return str(found[0])


def _label_column(features: Any, wanted: str | None, files: SourceFiles) -> str:
    columns = ", ".join(features)
    if wanted is not None:
        if wanted not in features:
            raise DataError(f"there is no label column {wanted!r} in {files.source}; it has {columns}")
        found = [wanted]
    else:
        stated = [name for name, feature in features.items() if isinstance(feature, datasets.ClassLabel)]
        found = [name for name in ("label", "labels") if name in features] or stated
    if not found:
        raise DataError(f"no label column in {files.source}; expected `label` (integer, string or ClassLabel), found {columns}")
    if len(found) > 1:
        raise DataError(f"several label columns in {files.source}: {', '.join(found)}; choose one with label_column")
    feature = features[found[0]]
    kind = str(getattr(feature, "dtype", None))
    if not kind.startswith(("int", "uint", "string", "large_string")):
        raise DataError(f"the label column {found[0]!r} in {files.source} holds {feature}; expected integers or strings")
    return str(found[0])
