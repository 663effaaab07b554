"""From settings to a data set: the one way in."""

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from hwnas.data.cache import cached
from hwnas.data.dataset import DataSet, Split
from hwnas.data.decoded import Decoded, Progress
from hwnas.data.files import SourceFiles, find_files
from hwnas.data.origin import Origin
from hwnas.data.partition import split_rows
from hwnas.errors import DataError
from hwnas.settings import DIGITS, DataSettings

_DIGITS_SHARE = 0.2
_VALIDATION_SHARE = 0.1
_TEST_SHARE = 0.2


def load(settings: DataSettings, progress: Progress | None = None) -> DataSet:
    """Return the data set that `settings` name, the same for the same settings and files.

    Splits that are files of their own are taken as they are; the others are split from the training rows: stratified by
    class, seeded, groups kept whole. `progress` is called with (images decoded, images in all) when a data set is decoded
    for the first time. Raises DataError.
    """
    return _normalised(_loaded(settings, progress), settings.normalisation)


def _normalised(data: DataSet, given: tuple[float, ...] | None) -> DataSet:
    """The data with the normalisation that is asked for. Raises DataError where it has another number of channels."""
    if given is None:
        return data
    channels, half = data.shape[0], len(given) // 2
    mean, std = (each * channels if half == 1 else each for each in (given[:half], given[half:]))
    if len(mean) != channels:
        raise DataError(f"the images have {channels} channels, the normalisation has means for {half}; give {channels} or 1")
    return replace(data, mean=mean, std=std)


def _loaded(settings: DataSettings, progress: Progress | None) -> DataSet:
    if settings.source == DIGITS:
        return _digits(settings)
    source = Path(os.path.expanduser(settings.source))  # which leaves the home of an unknown user as it is
    files = find_files(source)
    parts = cached(files, settings, lambda: _decode(files, settings, progress))
    found = dict(parts.splits)
    if settings.validation is not None:
        found["validation"] = _own_validation(settings, parts, progress)
    groups = None if parts.groups is None else parts.groups.numpy()
    name = source.resolve().name.removesuffix(".parquet")
    shares = (settings.validation_share or _VALIDATION_SHARE, settings.test_share or _TEST_SHARE)
    origin = Origin(
        splits=_taken_from(parts.splits, shares, "folder" if files.kind == "images" else "file", settings.group_by)
        | ({} if settings.validation is None else {"validation": f"all of {settings.validation}"}),
        sizes=parts.sizes,
        fit=settings.fit,
        left_out=tuple(files.left_out_in_words()),
        has_own_validation="validation" in found,
    )
    return _data_set(name, parts.classes, found, groups, shares, settings.seed or 0, origin)


def _own_validation(settings: DataSettings, parts: Decoded, progress: Progress | None) -> Split:
    """The images of ``settings.validation``, in the source's size, colour and classes. Raises DataError."""
    assert settings.validation is not None
    channels, height, width = parts.splits["train"].images.shape[1:]
    own = replace(settings, source=settings.validation, image_size=(height, width), group_by=None, validation=None)
    files = find_files(Path(os.path.expanduser(own.source)))
    decoded = cached(files, own, lambda: _decode(files, own, progress))
    split = decoded.splits.get("validation", decoded.splits["train"])
    if "validation" not in decoded.splits and len(decoded.splits) > 1:
        raise DataError(f"{own.source} has several splits and none is called validation; name the one file or folder")
    if unknown := [name for name in decoded.classes if name not in parts.classes]:
        raise DataError(f"{own.source} has classes that {settings.source} has not: {', '.join(unknown)}; rename or remove them")
    numbers = torch.tensor([parts.classes.index(name) for name in decoded.classes])
    images = split.images
    if images.shape[1] == 1:  # grey images are coloured ones of three equal channels
        images = images.expand(-1, channels, -1, -1).contiguous()
    if images.shape[1] != channels:
        raise DataError(f"the images of {own.source} are coloured and those of {settings.source} grey; bring them to one of both")
    return Split(images=images, labels=numbers[split.labels])


def _taken_from(
    splits: Mapping[str, Split], shares: tuple[float, float], place: str, group_by: str | None = None
) -> dict[str, str]:
    """Where validation and test come from, in words."""
    whole = f", whole groups of {group_by}" if group_by else ""
    return {
        split: f"your {split} {place}" if split in splits else f"{share:.0%} of the training {place}{whole}".replace("%", " %")
        for split, share in zip(("validation", "test"), shares, strict=True)
    }


def _decode(files: SourceFiles, settings: DataSettings, progress: Progress | None) -> Decoded:
    try:
        # Hugging Face `datasets` and Pillow are an extra, slow to import and not needed for digits or for what is cached.
        from hwnas.data.decoding import decode_files
    except ModuleNotFoundError as error:
        raise DataError(
            f"reading {settings.source} needs the package {error.name}, which is not installed: "
            'python -m pip install "hwnas[data]"'
        ) from error
    return decode_files(files, settings, progress)


def _digits(settings: DataSettings) -> DataSet:
    if settings.image_size not in (None, (8, 8)) or settings.group_by is not None:
        raise DataError("the built-in digits are 8x8 and have no columns; leave image_size and group_by out")
    # Importing scikit-learn takes a second, which no other data set should pay.
    from hwnas.data.digits import digits

    shares = (settings.validation_share or _DIGITS_SHARE, settings.test_share or _DIGITS_SHARE)
    found = {"train": digits()}
    origin = Origin(splits=_taken_from(found, shares, "images"))
    return _data_set(DIGITS, tuple("0123456789"), found, None, shares, settings.seed or 0, origin)


def _data_set(
    name: str,
    classes: tuple[str, ...],
    splits: dict[str, Split],
    groups: np.ndarray | None,
    shares: tuple[float, float],
    seed: int,
    origin: Origin,
) -> DataSet:
    """Split off what is missing; a share is one of all rows of the training file, so that the order does not matter."""
    train = splits["train"]
    total = len(train)
    if total < len(classes):
        raise DataError(f"{name} has {total} training images, fewer than its {len(classes)} classes; it needs more images")
    rng = np.random.default_rng(seed)
    found = dict(splits)
    for split, share in (("test", shares[1]), ("validation", shares[0])):
        if split not in found:
            kept, aside = split_rows(train.labels.numpy(), groups, share * total / len(train), rng)
            _check_split(name, split, train.labels.numpy(), kept, aside)
            found[split] = train.rows(torch.from_numpy(aside))
            train = train.rows(torch.from_numpy(kept))
            groups = None if groups is None else groups[kept]
    return DataSet.of(name, classes, train, found["validation"], found["test"], origin)


def _check_split(name: str, split: str, labels: np.ndarray, kept: np.ndarray, aside: np.ndarray) -> None:
    if len(aside) == 0 or len(kept) == 0:
        raise DataError(
            f"no {split} split can be taken from the {len(labels)} training images of {name}: too few images or too large "
            f"groups; add images, a {split} file, or a larger {split}_share"
        )
    lost = set(np.unique(labels)) - set(np.unique(labels[kept]))
    if lost:
        raise DataError(f"splitting {name} by group leaves no training image of class number {min(lost)}; group more finely")
