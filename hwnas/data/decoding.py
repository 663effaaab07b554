"""From tables of encoded rows to tensors: labels numbered, groups numbered, images decoded to one shape."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from hwnas.data.dataset import Split
from hwnas.data.decoded import Decoded, Progress
from hwnas.data.files import SourceFiles
from hwnas.data.images import decode, read_header
from hwnas.data.tables import Table, open_tables
from hwnas.errors import DataError
from hwnas.settings import DataSettings, Fit

_FALLBACK_SIZE = (64, 64)
_REPORT_EVERY = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class _Survey:
    """What a first reading of one table finds, undecoded: raw labels, group keys, counts of sizes, and whether all is grey."""

    labels: list[int | str]
    keys: list[str]
    sizes: Counter[tuple[int, int]]
    grey: bool


def decode_files(files: SourceFiles, settings: DataSettings, progress: Progress | None) -> Decoded:
    """Return all rows of the files decoded; `progress` is called with (images done, images in all). Raises DataError."""
    column, pattern = _grouping(settings.group_by)
    tables = open_tables(files, settings.label_column, column)
    surveys = {split: _survey(table, pattern, settings.max_pixels) for split, table in tables.items()}
    shape = _common_shape(list(surveys.values()), settings.image_size)
    values, classes = _classes(tables["train"].names, surveys, files)
    numbers = {value: number for number, value in enumerate(values)}
    report = _Reporter(progress, sum(len(survey.labels) for survey in surveys.values()))
    splits = {}
    for split, table in tables.items():
        labels = torch.tensor([numbers[label] for label in surveys[split].labels], dtype=torch.int64)
        splits[split] = Split(images=_images(table, len(labels), shape, settings.fit, report), labels=labels)
    groups = None
    if column is not None:
        groups = torch.from_numpy(np.unique(surveys["train"].keys, return_inverse=True)[1].astype(np.int64))
    return Decoded(classes=classes, splits=splits, groups=groups, sizes=_sizes(surveys.values()))


def _grouping(group_by: str | None) -> tuple[str | None, re.Pattern[str] | None]:
    """Return column and pattern of "COLUMN" or "COLUMN:REGEX"."""
    if group_by is None:
        return None, None
    column, _, pattern = group_by.partition(":")
    try:
        return column, re.compile(pattern) if pattern else None
    except re.error as error:
        raise DataError(f"group_by is COLUMN or COLUMN:REGEX; that of {group_by!r} is no regular expression ({error})") from error


def _group_key(text: str, pattern: re.Pattern[str] | None, where: str) -> str:
    if pattern is None:
        return text
    match = pattern.search(text)
    if match is None:
        raise DataError(f"{where}: group_by {pattern.pattern!r} must match every training row, but not {text!r}; correct it")
    return match.group()


def _survey(table: Table, pattern: re.Pattern[str] | None, max_pixels: int) -> _Survey:
    labels, keys, sizes, grey = [], [], Counter[tuple[int, int]](), True
    for row in table:
        header = read_header(row.encoded, row.where, max_pixels)
        sizes[header.height, header.width] += 1
        grey = grey and header.grey
        labels.append(row.label)
        if table.split == "train":
            keys.append(_group_key(row.group, pattern, row.where))
    if not labels:
        raise DataError(f"the {table.split} split in {table.files.source} has no rows; remove its file or fill it")
    return _Survey(labels=labels, keys=keys, sizes=sizes, grey=grey)


def _common_shape(surveys: list[_Survey], wanted: tuple[int, int] | None) -> tuple[int, int, int]:
    sizes = _sizes(surveys)
    height, width = wanted or (next(iter(sizes)) if len(sizes) == 1 else _FALLBACK_SIZE)
    return 1 if all(survey.grey for survey in surveys) else 3, height, width


def _sizes(surveys: Iterable[_Survey]) -> Counter[tuple[int, int]]:
    """How many images of all splits have which size."""
    return sum((survey.sizes for survey in surveys), Counter())


def _classes(
    names: tuple[str, ...] | None, surveys: dict[str, _Survey], files: SourceFiles
) -> tuple[list[int | str], tuple[str, ...]]:
    """Return the raw label of each class, and its name: as a ClassLabel states them, else the training labels in order."""
    values = set(surveys["train"].labels)
    known: Mapping[Any, str] = dict(enumerate(names or ()))
    for split, survey in surveys.items():
        if strange := set(survey.labels) - values:
            label = min(strange, key=str)
            raise DataError(
                f"label {known.get(label, label)!r} of the {split} split in {files.source} has no training image; remove its rows"
            )
    if names is not None:
        return list(range(len(names))), names
    ordered = sorted(values, key=lambda value: (isinstance(value, str), value))
    return ordered, tuple(map(str, ordered))


class _Reporter:
    """Counts images and calls the caller's progress now and then."""

    def __init__(self, progress: Progress | None, total: int) -> None:
        self._progress, self._total, self._done = progress, total, 0

    def step(self) -> None:
        self._done += 1
        if self._progress is not None and (self._done % _REPORT_EVERY == 0 or self._done == self._total):
            self._progress(self._done, self._total)


def _images(table: Table, count: int, shape: tuple[int, int, int], fit: Fit, report: _Reporter) -> torch.Tensor:
    try:
        images = np.empty((count, *shape), dtype=np.uint8)
    except (MemoryError, ValueError) as error:  # more than there is, and more than numpy can count
        channels, height, width = shape
        raise DataError(
            f"the {count} images of the {table.split} split in {table.files.source} do not fit into memory at "
            f"{height}x{width} pixels and {channels} channels ({error}); choose a smaller image_size"
        ) from error
    # One thread: Pillow's decoders of small images hold the interpreter lock (two threads took twice as long).
    for number, row in enumerate(table):
        images[number] = decode(row.encoded, row.where, shape, fit)
        report.step()
    return torch.from_numpy(images)
