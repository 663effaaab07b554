import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from hwnas.data import Augmentation, DataSet, DataSettings, Split, default_augmentation, load
from hwnas.data.augmentation import cut_out, mix_up, shift_and_flip
from hwnas.errors import ConfigError


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@given(
    shape=st.tuples(st.integers(1, 6), st.integers(1, 3), st.integers(1, 7), st.integers(1, 7)),
    padding=st.integers(0, 3),
    flip=st.booleans(),
    seed=st.integers(0, 99),
)
def test_every_image_is_a_window_of_its_own_padding(shape: tuple[int, ...], padding: int, flip: bool, seed: int) -> None:
    images = torch.randint(1, 256, shape, dtype=torch.uint8, generator=generator(seed))
    changed = shift_and_flip(images, padding, flip, generator(seed))
    height, width = shape[2:]
    for image, result in zip(images, changed, strict=True):
        windows = [
            functional.pad(source, (padding,) * 4)[:, y : y + height, x : x + width]
            for source in ([image, image.flip(2)] if flip else [image])
            for y in range(2 * padding + 1)
            for x in range(2 * padding + 1)
        ]
        assert any(torch.equal(result, window) for window in windows)


def test_all_shifts_and_mirrorings_are_equally_likely() -> None:
    images = torch.arange(1, 10, dtype=torch.uint8).view(1, 1, 3, 3).expand(9000, 1, 3, 3)
    changed = shift_and_flip(images, 1, True, generator())
    _, counts = torch.unique(changed.reshape(9000, 9), dim=0, return_counts=True)
    assert len(counts) == 18
    assert (counts - 500).abs().max() < 5 * 500**0.5


def test_cutout_blanks_one_square_whose_centre_lies_inside() -> None:
    images = torch.ones(2000, 2, 9, 11)
    cut_out(images, 4, generator())
    gone = images == 0
    assert torch.equal(gone[:, 0], gone[:, 1])
    rows, columns = gone[:, 0].any(2).sum(1), gone[:, 0].any(1).sum(1)
    assert torch.equal(gone[:, 0].sum((1, 2)), rows * columns)
    assert (int(rows.min()), int(rows.max()), int(columns.min()), int(columns.max())) == (2, 4, 2, 4)
    assert gone[:, 0].any(0).all()


def test_mixup_mixes_images_and_labels_in_one_proportion() -> None:
    labels = torch.randint(5, (4000,), generator=generator())
    # The picture of a class is its one-hot code, so that a mixture's label can be read off it.
    images = functional.one_hot(labels, 5).float().view(-1, 5, 1, 1)
    mixed, targets = mix_up(images, labels, 5, 0.4, generator())
    torch.testing.assert_close(mixed.view(-1, 5), targets)
    torch.testing.assert_close(targets.sum(1), torch.ones(4000))
    other = labels != labels.roll(1)
    share = targets[torch.arange(4000), labels][other].numpy()
    # Beta(a, a) has variance 1 / (4 (2 a + 1)).
    assert abs(share.mean() - 0.5) < 0.04
    assert abs(share.var() - 1 / (4 * 1.8)) < 0.01


def data_set(name: str, classes: tuple[str, ...], size: int) -> DataSet:
    split = Split(images=torch.zeros(len(classes), 3, size, size, dtype=torch.uint8), labels=torch.arange(len(classes)))
    return DataSet.of(name, classes, split, split, split)


def test_only_cifar10_is_mirrored() -> None:
    cifar10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
    assert default_augmentation(data_set("any", cifar10, 32)) == Augmentation(crop_padding=4, flip=True)
    assert default_augmentation(data_set("cifar10", ("keep_left", "keep_right"), 48)) == Augmentation(crop_padding=6)
    assert default_augmentation(data_set("digits", ("zero", "one"), 32)) == Augmentation(crop_padding=4)
    assert default_augmentation(load(DataSettings())) == Augmentation()


@pytest.mark.parametrize("settings", [{"crop_padding": -1}, {"cutout": -1}, {"mixup": -0.1}, {"mixup": np.nan}])
def test_impossible_settings_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="at least 0"):
        Augmentation(**settings)
