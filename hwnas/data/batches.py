"""Batches of normalised images, for training (shuffled, augmented) and for evaluation (in order).

A step of a tiny network takes less time than a dozen small tensor operations. So shuffling, normalising and augmenting are done
for a stretch of many batches at once; a batch is a view of it.
"""

from collections.abc import Iterator

import torch

from hwnas.data.augmentation import cut_out, mix_up, shift_and_flip
from hwnas.data.dataset import DataSet, Split
from hwnas.errors import ConfigError
from hwnas.settings import Augmentation

Batch = tuple[torch.Tensor, torch.Tensor]
# 2 MB of float32: stays in a core's cache.
_STRETCH_VALUES = 2**19


def step_count(images: int, batch_size: int) -> int:
    """Return how many full batches show at least `images` images."""
    return -(-images // batch_size)


def normalise(images: torch.Tensor, data: DataSet) -> torch.Tensor:
    """Return uint8 images (n, C, H, W) as float32: scaled to [0, 1], minus the mean, over the standard deviation of `data`."""
    mean = torch.tensor(data.mean).view(-1, 1, 1)
    std = torch.tensor(data.std).view(-1, 1, 1)
    return images.float().sub_(mean * 255).div_(std * 255)


def training_batches(
    data: DataSet, *, images: int, batch_size: int, augmentation: Augmentation, generator: torch.Generator
) -> Iterator[Batch]:
    """Yield `step_count(images, batch_size)` training batches: images float32 (b, C, H, W) and labels int64 (b,).

    One random order of the whole split follows another, and every batch is full: one may reach into the next order.
    With mixup the labels are class shares, float32 (b, classes), as torch's cross-entropy takes them.
    A batch may be changed in place. Raises ConfigError.
    """
    if images < 1 or batch_size < 1:
        raise ConfigError(f"images and batch_size must be at least 1, not {images} and {batch_size}")
    total = step_count(images, batch_size) * batch_size
    stretch = batch_size * max(1, _STRETCH_VALUES // (data.train.images[0].numel() * batch_size))
    for index in _orders(len(data.train), total, stretch, generator):
        pixels, labels = _augmented(data, index, augmentation, generator)
        yield from zip(torch.split(pixels, batch_size), torch.split(labels, batch_size), strict=True)


def evaluation_batches(data: DataSet, split: Split, batch_size: int) -> Iterator[Batch]:
    """Yield all images of `split` once, in order: float32 (b, C, H, W) and labels int64 (b,); the last batch may be smaller."""
    for pixels, labels in zip(torch.split(split.images, batch_size), torch.split(split.labels, batch_size), strict=True):
        yield normalise(pixels, data), labels


def _orders(count: int, total: int, stretch: int, generator: torch.Generator) -> Iterator[torch.Tensor]:
    """Yield `total` row numbers below `count`, `stretch` at a time: random orders of all rows, one after another."""
    ready = torch.empty(0, dtype=torch.int64)
    while total > 0:
        size = min(stretch, total)
        while len(ready) < size:
            ready = torch.cat([ready, torch.randperm(count, generator=generator)])
        yield ready[:size]
        ready = ready[size:]
        total -= size


def _augmented(data: DataSet, index: torch.Tensor, augmentation: Augmentation, generator: torch.Generator) -> Batch:
    # index_select: for bytes it is ten times as fast as indexing.
    pixels = data.train.images.index_select(0, index)
    labels = data.train.labels.index_select(0, index)
    if augmentation.flip or augmentation.crop_padding:
        pixels = shift_and_flip(pixels, augmentation.crop_padding, augmentation.flip, generator)
    values = normalise(pixels, data)
    if augmentation.cutout:
        cut_out(values, augmentation.cutout, generator)
    if augmentation.mixup:
        return mix_up(values, labels, len(data.classes), augmentation.mixup, generator)
    return values, labels
