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
import pyarrow.parquet
from datasets.data_files import DataFilesDict, DataFilesList
from datasets.packaged_modules.imagefolder.imagefolder import ImageFolder
from datasets.packaged_modules.parquet.parquet import Parquet

from hwnas.data.files import SourceFiles
from hwnas.errors import DataError

_BATCH_ROWS = 1000
# Column types that hold images as the bytes of a file (null: all of them are missing), or the files' names.
_ENCODED, _NAMED = ("binary", "large_binary", "null"), ("string", "large_string")


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
        while True:
            with _readable(f"the {self.split} split in {self.files.source}"):
                batch = _quiet_next(batches)
            if batch is None:
                return
            yield batch

    def _row(self, number: int, image: dict[str, Any] | bytes | str | None, label: int | str | None, group: object) -> Row:
        cell: dict[str, Any] = image if isinstance(image, dict) else {"path" if isinstance(image, str) else "bytes": image}
        content, path = cell.get("bytes"), cell.get("path") or ""
        if content is None and Path(path).is_relative_to(self.files.root):
            path = Path(path).relative_to(self.files.root).as_posix()
        where = f"row {number} of the {self.split} split in {self.files.source}" + (f" ({path})" if path else "")
        if content is None and not path:
            raise DataError(f"{where} holds no image; remove the row")
        if label is None or (self.names is not None and not 0 <= int(label) < len(self.names)):
            raise DataError(f"{where} has no valid label ({label}); remove the row, or the file where it is an unlabelled one")
        encoded = self._file(path, where) if content is None else content
        return Row(where=where, encoded=encoded, label=label, group=path if self.group is None else str(group))

    def _file(self, path: str, where: str) -> Path:
        """The file that a row names, with links resolved. A table from elsewhere names no picture of this machine but its own."""
        try:
            found = (self.files.root / path).resolve()
        except (OSError, RuntimeError, ValueError) as error:  # a name with NUL, links in a circle
            raise DataError(f"{where} names no regular file ({error}); bring the file, or remove the row") from error
        if self.files.kind == "parquet" and not found.is_relative_to(self.files.root):
            raise DataError(
                f"{where} names a file outside {self.files.root}, where the table lies; a table may name only files below "
                "its own folder: bring the images there, or write them into the table"
            )
        if not os.path.isfile(found):  # a pipe or a device would keep us waiting
            raise DataError(f"{where} names no regular file; bring the file, or remove the row")
        return found


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
    _check_class_names(files, tables["train"].label)
    return tables


def _streams(files: SourceFiles) -> dict[str, Any]:
    """Open the files with the builders themselves: `load_dataset` would report its use to a server.

    A parquet split has the columns of its own files; image folders are opened together, so that one number is one class.
    """
    data_files = {
        split: DataFilesList(list(map(str, paths)), [(str(path),) for path in paths]) for split, paths in files.splits.items()
    }
    with tempfile.TemporaryDirectory(prefix="hwnas-") as folder, _quiet(), _readable(str(files.source)):
        if files.kind == "images":
            builder = ImageFolder(cache_dir=folder, data_files=DataFilesDict(data_files), drop_labels=False)
            return dict(builder.as_streaming_dataset())
        builders = {
            split: Parquet(cache_dir=folder, data_files=DataFilesDict({split: listed}), batch_size=_BATCH_ROWS)
            for split, listed in data_files.items()
        }
        return {split: builder.as_streaming_dataset()[split] for split, builder in builders.items()}


@contextmanager
def _readable(what: str) -> Iterator[None]:
    """What `datasets` and pyarrow raise on files that are damaged, or whose columns differ, is one error."""
    try:
        yield
    except (pyarrow.ArrowException, datasets.exceptions.DatasetsError, OSError, ValueError, TypeError) as error:
        raise DataError(f"{what} cannot be read ({' '.join(str(error).split())}); fetch or write it again") from error


def _check_class_names(files: SourceFiles, label: str) -> None:
    """Raise DataError where files number their classes differently: one number would be two classes.

    A list of classes may go on where that of another file ends.
    """
    stated: dict[int, tuple[str, Path]] = {}
    for path in (path for paths in files.splits.values() for path in paths if files.kind == "parquet"):
        with _readable(str(path)):
            feature = datasets.Features.from_arrow_schema(pyarrow.parquet.read_schema(path)).get(label)
        for number, name in enumerate(feature.names if isinstance(feature, datasets.ClassLabel) else ()):
            other, first = stated.setdefault(number, (name, path))
            if other != name:
                raise DataError(
                    f"class number {number} is {other} in {first} and {name} in {path}; write both with one list of classes"
                )


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
    feature = features[found[0]]
    held, allowed = (feature["bytes"], _ENCODED) if isinstance(feature, dict) else (feature, (*_ENCODED, *_NAMED))
    if not isinstance(feature, datasets.Image) and getattr(held, "dtype", None) not in allowed:
        raise DataError(f"the image column {found[0]!r} in {files.source} holds {feature}; expected encoded images, such as PNG")
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
