"""Random changes of training images: shift, flip, cutout, mixup; each works on a whole stack of images at once."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from hwnas.data.dataset import DataSet
from hwnas.data.settings import DIGITS
from hwnas.errors import ConfigError

_CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


@dataclass(frozen=True, slots=True, kw_only=True)
class Augmentation:
    """What is done to training images; everything is off by default.

    crop_padding: pixels of black around an image, of which a random window of its size is cut.
    flip: mirrored left to right, every second time.
    cutout: side in pixels of a square, somewhere, set to the mean [DeVries2017].
    mixup: alpha of the Beta distribution by which two images and their labels are mixed [Zhang2018]; 0.1 to 0.4 is usual.

    Raises ConfigError.
    """

    crop_padding: int = 0
    flip: bool = False
    cutout: int = 0
    mixup: float = 0.0

    def __post_init__(self) -> None:
        if self.crop_padding < 0 or self.cutout < 0:
            raise ConfigError(f"crop_padding and cutout are pixels, at least 0, not {self.crop_padding} and {self.cutout}")
        if not (0 <= self.mixup < math.inf):
            raise ConfigError(f"mixup is the alpha of a Beta distribution, at least 0 (off), not {self.mixup}")


def default_augmentation(data: DataSet) -> Augmentation:
    """Return what suits a data set: CIFAR-10's usual shifts and flips, nothing for digits, else shifts of 1/8 of the size.

    Data that we do not know are never mirrored: a mirrored sign or letter may be another one.
    A digit fills its 8 x 8 pixels: a shift would cut it.
    """
    if data.name == DIGITS and data.shape == (1, 8, 8):  # a folder may have that name, too
        return Augmentation()
    if data.classes == _CIFAR10:
        return Augmentation(crop_padding=4, flip=True)
    return Augmentation(crop_padding=min(data.shape[1:]) // 8)


def shift_and_flip(images: torch.Tensor, padding: int, flip: bool, generator: torch.Generator) -> torch.Tensor:
    """Return images (n, C, H, W), each shifted by up to `padding` pixels over black and, if `flip`, mirrored at even odds."""
    count, _, height, width = images.shape
    rows = torch.arange(count)
    if flip:
        images = torch.cat([images, images.flip(3)])
        rows = rows + count * torch.randint(2, (count,), generator=generator)
    if padding == 0:
        return images[rows]
    windows = functional.pad(images, (padding,) * 4).unfold(2, height, 1).unfold(3, width, 1)
    down, right = torch.randint(2 * padding + 1, (2, count), generator=generator)
    return windows[rows, :, down, right]


def cut_out(images: torch.Tensor, side: int, generator: torch.Generator) -> None:
    """Set a square of each normalised image (n, C, H, W) to 0, the mean, in place; its centre lies inside, its sides may not."""
    count, _, height, width = images.shape

    def inside(size: int) -> torch.Tensor:
        start = torch.randint(size, (count, 1), generator=generator) - side // 2
        place = torch.arange(size)
        return (place >= start) & (place < start + side)

    images.masked_fill_((inside(height)[:, :, None] & inside(width)[:, None, :])[:, None], 0.0)


def mix_up(
    images: torch.Tensor, labels: torch.Tensor, classes: int, alpha: float, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return each image mixed with the one before it (the order is random), and the mixtures' class shares (n, classes)."""
    seed = int(torch.randint(2**62, (), generator=generator))
    # torch draws no Beta from a generator of one's own.
    share = torch.from_numpy(np.random.default_rng(seed).beta(alpha, alpha, len(labels)).astype(np.float32))
    targets = functional.one_hot(labels, classes).float()
    mixed = torch.lerp(images.roll(1, 0), images, share[:, None, None, None])
    return mixed, torch.lerp(targets.roll(1, 0), targets, share[:, None])
