"""Random changes of training images: shift, flip, cutout, mixup; each works on a whole stack of images at once."""

import numpy as np
import torch
from torch.nn import functional

from hwnas.data.dataset import DataSet
from hwnas.settings import DIGITS, Augmentation

_CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


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
