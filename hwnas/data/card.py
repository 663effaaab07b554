"""The data card: what a data set holds and what is done to it, so that a user can see it before a search, not guess it after."""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import sqrt
from typing import Any

import torch

from hwnas.data.dataset import DataSet, Split
from hwnas.data.origin import Origin
from hwnas.settings import Augmentation

FEW_VALIDATION, FEW_TRAINING = 50, 10  # images, of all classes and of one: fewer are worth a warning (our choice)
UNEVEN = 10  # times the images of the smallest class
TYPICAL_ERROR, Z_95 = 0.05, 1.96
FITS = {
    "crop": "scaled to cover it, cropped at the centre",
    "stretch": "stretched to it, whatever its proportions",
    "pad": "scaled to fit into it, black around",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassCounts:
    """A class and how many images of each split show it."""

    name: str
    train: int
    validation: int
    test: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DataCard:
    """What a data set holds and what is done to it.

    ``train``, ``validation``, ``test``: how many images; ``validation_from``, ``test_from``: where these come from. ``shape``
    (C, H, W) and ``fit``: what each image is brought to, and how ("kept": all have that size); ``cropped`` of ``read`` images
    lost edges by it, of ``sizes`` different sizes. ``noise_points``: differences of validation errors below it say nothing, in
    points: the half-width of the 95 % interval of an error of 5 % (our definition).
    """

    name: str
    metric: str
    classes: tuple[ClassCounts, ...]
    train: int
    validation: int
    test: int
    validation_from: str
    test_from: str
    shape: tuple[int, int, int]
    fit: str
    cropped: int
    read: int
    sizes: int
    augmentation: str
    noise_points: float
    left_out: tuple[str, ...]
    warnings: tuple[str, ...]

    def __repr__(self) -> str:
        images = f"{self.train:,} training, {self.validation:,} validation and {self.test:,} test images"
        return f"<data {self.name}: {len(self.classes)} classes, {images}>"

    def to_json(self) -> dict[str, Any]:
        """The card as an object that JSON can hold."""
        return asdict(self)

    def lines(self) -> list[str]:
        """The card in a few lines, the first one without indent."""
        counts = [each.train for each in self.classes]
        colour = "grey" if self.shape[0] == 1 else "RGB"
        each_has = f"{min(counts):,}" if min(counts) == max(counts) else f"{min(counts):,} to {max(counts):,}"
        lines = [
            f"Data: {self.name}, {len(self.classes)} classes of {each_has} training images each, {colour}",
            f"  {self.train:,} training images",
            f"  {self.validation:,} validation images ({self.validation_from})",
            f"  {self.test:,} test images ({self.test_from}); the search never sees them",
            *(f"  {each}" for each in self._size()),
            f"  changed at random in training: {self.augmentation}",
            f"  metric: {self.metric.replace('_', ' ')}; differences below {self.noise_points:.2g} points are noise",
        ]
        lines += [f"  left out: {each}" for each in self.left_out]
        return lines + [f"  warning: {each}" for each in self.warnings]

    def _size(self) -> list[str]:
        size = f"{self.shape[1]}x{self.shape[2]} pixels"
        if self.fit == "kept":
            return [f"{size}, as they are"]
        said = [f"{size}: each image is {FITS[self.fit]}"]
        cut = [f"{self.cropped:,} of {self.read:,} images lose edges; --fit stretch or pad keeps them"] if self.cropped else []
        return said + cut


def describe(data: DataSet, augmentation: Augmentation, metric: str = "error") -> DataCard:
    """The card of a data set that is trained with ``augmentation`` and judged by ``metric``."""
    splits = (data.train, data.validation, data.test)
    counts = [torch.bincount(split.labels, minlength=len(data.classes)).tolist() for split in splits]
    classes = tuple(
        ClassCounts(name=name, train=train, validation=validation, test=test)
        for name, train, validation, test in zip(data.classes, *counts, strict=True)
    )
    origin = data.origin or Origin()
    _, height, width = data.shape
    is_kept = set(origin.sizes) <= {(height, width)}
    return DataCard(
        name=data.name,
        metric=metric,
        classes=classes,
        train=len(data.train),
        validation=len(data.validation),
        test=len(data.test),
        validation_from=origin.splits.get("validation", "given"),
        test_from=origin.splits.get("test", "given"),
        shape=data.shape,
        fit="kept" if is_kept else origin.fit,
        cropped=origin.cropped(height, width),
        read=sum(origin.sizes.values()),
        sizes=len(origin.sizes),
        augmentation=in_words(augmentation),
        noise_points=100 * Z_95 * sqrt(TYPICAL_ERROR * (1 - TYPICAL_ERROR) / len(data.validation)),
        left_out=origin.left_out,
        warnings=(*_of_counts(classes, len(data.validation), metric), *_of_equal_images(data)),
    )


def in_words(augmentation: Augmentation) -> str:
    """What is done to training images at random, in words."""
    parts = [f"shifts by up to {augmentation.crop_padding} pixels"] if augmentation.crop_padding else []
    parts += ["mirrored left to right" if augmentation.flip else "never mirrored"]
    parts += [f"a square of {augmentation.cutout} pixels blanked"] if augmentation.cutout else []
    parts += [f"mixed with another image (mixup {augmentation.mixup:g})"] if augmentation.mixup else []
    return ", ".join(parts) if augmentation != Augmentation() else "nothing"


def _of_counts(classes: Sequence[ClassCounts], validation: int, metric: str) -> list[str]:
    warnings = []
    if validation < FEW_VALIDATION:
        one = f"one of them is {100 / validation:.3g} points of error"
        warnings.append(f"only {validation} validation images: {one}; bring more, or a folder val/ of your own")
    if empty := [each.name for each in classes if not each.train]:
        warnings.append(f"no training image of {_listed(empty)}: these classes cannot be learned")
    if few := [each.name for each in classes if 0 < each.train < FEW_TRAINING]:
        warnings.append(f"fewer than {FEW_TRAINING} training images of {_listed(few)}")
    for split in ("validation", "test"):
        if missing := [each.name for each in classes if each.train and not getattr(each, split)]:
            warnings.append(f"no {split} image of {_listed(missing)}: errors there are not seen")
    counts = [each.train for each in classes if each.train]
    if max(counts) > UNEVEN * min(counts) and metric == "error":
        warnings.append("the largest class has more than ten times the images of the smallest: think of --metric balanced_error")
    return warnings


def _of_equal_images(data: DataSet) -> list[str]:
    """What images that are equal pixel for pixel, once brought to one size, say of a data set."""
    train, validation, test = _hashes(data.train), _hashes(data.validation), _hashes(data.test)
    warnings, known = [], set(train)
    for name, keys in (("validation", validation), ("test", test)):
        if twice := sum(key in known for key in keys):
            warnings.append(f"{twice:,} of {len(keys):,} {name} images are training images, too: their error looks too good")
    labels: dict[bytes, set[int]] = {}
    for split, keys in ((data.train, train), (data.validation, validation), (data.test, test)):
        for key, label in zip(keys, split.labels.tolist(), strict=True):
            labels.setdefault(key, set()).add(label)
    if doubtful := [found for found in labels.values() if len(found) > 1]:
        names = sorted({data.classes[label] for found in doubtful for label in found})
        warnings.append(f"{len(doubtful):,} images are in several classes at once ({_listed(names)})")
    return warnings


def _hashes(split: Split) -> list[bytes]:
    """The hash of each image, in order."""
    rows = split.images.contiguous().numpy().reshape(len(split), -1)
    return [hashlib.blake2b(row.data, digest_size=16).digest() for row in rows]


def _listed(names: Sequence[str], most: int = 4) -> str:
    rest = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + rest
