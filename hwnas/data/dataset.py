"""The words for labelled images: a split, and a data set of three splits."""

import hashlib
import json
from dataclasses import dataclass, replace
from typing import Self

import torch

from hwnas.data.origin import Origin
from hwnas.errors import DataError


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """Labelled images: `images` uint8 (n, C, H, W), `labels` int64 (n,); raises DataError for anything else."""

    images: torch.Tensor
    labels: torch.Tensor

    def __post_init__(self) -> None:
        if self.images.ndim != 4 or self.images.dtype != torch.uint8:
            raise DataError(f"images must be uint8 (n, C, H, W), not {self.images.dtype} {tuple(self.images.shape)}")
        if self.labels.shape != self.images.shape[:1] or self.labels.dtype != torch.int64:
            raise DataError(
                f"{len(self.images)} images need as many int64 labels, not {self.labels.dtype} {tuple(self.labels.shape)}"
            )

    def __len__(self) -> int:
        return len(self.labels)

    def rows(self, index: torch.Tensor) -> "Split":
        """Return the rows of `index`, int64 (k,), in its order."""
        return Split(images=self.images[index], labels=self.labels[index])

    def sha256(self) -> str:
        """Return the hash of shape, images and labels, in hexadecimal."""
        digest = hashlib.sha256(json.dumps(list(self.images.shape)).encode())
        digest.update(self.images.contiguous().numpy().data)
        digest.update(self.labels.contiguous().numpy().astype("<i8", copy=False).data)
        return digest.hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSet:
    """Three splits of one shape, their class names, and the normalisation constants of the training split.

    mean, std: per channel, of images scaled to [0, 1]; std is at least 1/255, so that a constant channel divides by no 0.
    fingerprint: hash of the splits' contents and the class names. origin: where they come from, None where that is not known.
    """

    name: str
    classes: tuple[str, ...]
    train: Split
    validation: Split
    test: Split
    mean: tuple[float, ...]
    std: tuple[float, ...]
    fingerprint: str
    origin: Origin | None = None

    @classmethod
    def of(
        cls, name: str, classes: tuple[str, ...], train: Split, validation: Split, test: Split, origin: Origin | None = None
    ) -> Self:
        """Return the data set of three splits, with its normalisation and fingerprint computed; raises DataError."""
        mean, std = channel_statistics(train.images)
        hashes = [split.sha256() for split in (train, validation, test)]
        fingerprint = hashlib.sha256(json.dumps([classes, hashes]).encode()).hexdigest()
        return cls(
            name=name,
            classes=classes,
            train=train,
            validation=validation,
            test=test,
            mean=mean,
            std=std,
            fingerprint=fingerprint,
            origin=origin,
        )

    def __post_init__(self) -> None:
        if len(self.classes) < 2:
            raise DataError(f"{self.name} has one class only ({', '.join(self.classes)}); classification needs two or more")
        if len(set(self.classes)) < len(self.classes):
            raise DataError(f"{self.name} has two classes of one name; rename them: {', '.join(self.classes)}")
        for name, split in (("training", self.train), ("validation", self.validation), ("test", self.test)):
            if len(split) == 0:
                raise DataError(f"the {name} split of {self.name} is empty; it needs more images")
            if split.images.shape[1:] != self.train.images.shape[1:]:
                raise DataError(f"the {name} split's images differ in shape from the training split's")
            if int(split.labels.min()) < 0 or int(split.labels.max()) >= len(self.classes):
                raise DataError(f"a label of the {name} split lies outside 0 to {len(self.classes) - 1}")
        if int(self.train.labels.min()) == int(self.train.labels.max()):
            raise DataError(f"the training split of {self.name} holds one class only; classification needs two or more")

    def with_validation_in_training(self) -> "DataSet":
        """The same data whose training split holds the images of the validation split, too; all else is as it was."""
        images = torch.cat((self.train.images, self.validation.images))
        labels = torch.cat((self.train.labels, self.validation.labels))
        return replace(self, train=Split(images=images, labels=labels))

    @property
    def shape(self) -> tuple[int, int, int]:
        """The shape (C, H, W) of one image."""
        channels, height, width = self.train.images.shape[1:]
        return channels, height, width


def channel_statistics(images: torch.Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and (population) standard deviation per channel of uint8 images (n, C, H, W) scaled to [0, 1].

    Exact: from 256 counts a channel, so no float copy of the images is made.
    """
    levels = torch.arange(256, dtype=torch.float64) / 255
    means, stds = [], []
    for channel in range(images.shape[1]):
        share = torch.bincount(images[:, channel].flatten(), minlength=256).double()
        share /= share.sum()
        mean = (share * levels).sum()
        means.append(float(mean))
        stds.append(max(float((share * (levels - mean) ** 2).sum().sqrt()), 1 / 255))
    return tuple(means), tuple(stds)
