"""Batches of normalised images, for training (shuffled, augmented) and for evaluation (in order).

A step of a tiny network takes less time than a dozen small tensor operations. So shuffling, normalising and augmenting are done
for a stretch of many batches at once; a batch is a view of it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where the drawing of training batches stands, before the stretch that begins with batch ``batch`` (from 0).

    ``stream`` is the generator's state there, ``order`` the row numbers, int64 (k,), of the current order not shown yet.
    """

    batch: int
    stream: torch.Tensor
    order: torch.Tensor


class TrainingBatches:
    """An iterator over training batches that can say where it stands and go on from there; see ``training_batches``."""

    def __init__(
        self,
        data: DataSet,
        *,
        images: int,
        batch_size: int,
        augmentation: Augmentation,
        generator: torch.Generator,
        place: Place | None = None,
    ) -> None:
        if images < 1 or batch_size < 1:
            raise ConfigError(f"images and batch_size must be at least 1, not {images} and {batch_size}")
        self._data = data
        self._batch_size = batch_size
        self._augmentation = augmentation
        self._generator = generator
        self._left = step_count(images, batch_size) * batch_size
        self._stretch = batch_size * max(1, _STRETCH_VALUES // (data.train.images[0].numel() * batch_size))
        self._order = torch.empty(0, dtype=torch.int64)
        self._batch = 0
        if place is not None:
            generator.set_state(place.stream)
            self._order, self._batch = place.order, place.batch
            self._left -= place.batch * batch_size
        self._ready: Iterator[Batch] = iter(())
        self.place = self._here()

    def __iter__(self) -> "TrainingBatches":
        return self

    def __next__(self) -> Batch:
        batch = next(self._ready, None)
        if batch is None and self._left > 0:
            self.place = self._here()
            self._ready = self._draw()
            batch = next(self._ready, None)
        if batch is None:
            raise StopIteration
        return batch

    def skip_to(self, batch: int) -> None:
        """Let batches of the current stretch go by, up to number ``batch`` (from 0); they are drawn as if they were shown."""
        for _ in islice(self, batch - self.place.batch):
            pass

    def _here(self) -> Place:
        return Place(batch=self._batch, stream=self._generator.get_state(), order=self._order)

    def _draw(self) -> Iterator[Batch]:
        """The batches of the next stretch, all drawn at once."""
        size = min(self._stretch, self._left)
        while len(self._order) < size:
            self._order = torch.cat([self._order, torch.randperm(len(self._data.train), generator=self._generator)])
        index, self._order = self._order[:size], self._order[size:]
        self._left -= size
        self._batch += size // self._batch_size
        pixels, labels = _augmented(self._data, index, self._augmentation, self._generator)
        return zip(torch.split(pixels, self._batch_size), torch.split(labels, self._batch_size), strict=True)


def training_batches(
    data: DataSet,
    *,
    images: int,
    batch_size: int,
    augmentation: Augmentation,
    generator: torch.Generator,
    place: Place | None = None,
) -> TrainingBatches:
    """Give `step_count(images, batch_size)` training batches: images float32 (b, C, H, W) and labels int64 (b,).

    One random order of the whole split follows another, and every batch is full: one may reach into the next order.
    With mixup the labels are class shares, float32 (b, classes), as torch's cross-entropy takes them.
    A batch may be changed in place. From a ``place`` on, the batches are those that an iterator over as many images gives
    there. Raises ConfigError.
    """
    return TrainingBatches(
        data, images=images, batch_size=batch_size, augmentation=augmentation, generator=generator, place=place
    )


def evaluation_batches(data: DataSet, split: Split, batch_size: int) -> Iterator[Batch]:
    """Yield all images of `split` once, in order: float32 (b, C, H, W) and labels int64 (b,); the last batch may be smaller."""
    for pixels, labels in zip(torch.split(split.images, batch_size), torch.split(split.labels, batch_size), strict=True):
        yield normalise(pixels, data), labels


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
