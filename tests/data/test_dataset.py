from dataclasses import replace

import numpy as np
import pytest
import torch

from hwnas.data import DataSet, Split
from hwnas.data.dataset import channel_statistics
from hwnas.errors import DataError


def split(count: int = 6, seed: int = 0) -> Split:
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(256, (count, 3, 4, 5), generator=generator, dtype=torch.uint8)
    return Split(images=images, labels=torch.arange(count) % 2)


def test_statistics_agree_with_numpy() -> None:
    images = split(50).images
    mean, std = channel_statistics(images)
    scaled = images.numpy() / 255
    np.testing.assert_allclose(mean, scaled.mean(axis=(0, 2, 3)), rtol=1e-12)
    np.testing.assert_allclose(std, scaled.std(axis=(0, 2, 3)), rtol=1e-12)


def test_a_constant_channel_does_not_divide_by_zero() -> None:
    mean, std = channel_statistics(torch.full((3, 1, 2, 2), 51, dtype=torch.uint8))
    assert mean == pytest.approx((0.2,))
    assert std == (1 / 255,)


def test_the_hash_sees_pixels_labels_and_shape() -> None:
    one = split()
    pixel = one.images.clone()
    pixel[3, 1, 2, 2] += 1
    label = one.labels.clone()
    label[0] = 1
    others = [
        replace(one, images=pixel),
        replace(one, labels=label),
        replace(one, images=one.images.reshape(6, 3, 5, 4)),
        one.rows(torch.tensor([1, 0, 2, 3, 4, 5])),
    ]
    assert len({one.sha256(), *(other.sha256() for other in others)}) == 5
    assert one.sha256() == split().sha256()
    assert one.rows(torch.arange(6)).sha256() == one.sha256()


def test_the_fingerprint_sees_every_split_and_the_classes() -> None:
    def fingerprint(train: int = 0, validation: int = 1, test: int = 2, last: str = "b") -> str:
        return DataSet.of("x", ("a", last), split(seed=train), split(seed=validation), split(seed=test)).fingerprint

    assert len({fingerprint(), fingerprint(train=9), fingerprint(validation=9), fingerprint(test=9), fingerprint(last="c")}) == 5
    assert fingerprint() == fingerprint()


def test_the_shape_is_that_of_one_image() -> None:
    assert DataSet.of("x", ("a", "b"), split(), split(), split()).shape == (3, 4, 5)


@pytest.mark.parametrize(
    ("classes", "change", "message"),
    [
        (("a",), {}, "one class only"),
        (("a", "a"), {}, "two classes of one name"),
        (("a", "b"), {"test": Split(images=split().images[:0], labels=split().labels[:0])}, "test split of x is empty"),
        (("a", "b"), {"validation": replace(split(), labels=torch.full((6,), 2))}, "outside 0 to 1"),
        (("a", "b"), {"validation": replace(split(), images=split().images[:, :1])}, "differ in shape"),
        (("a", "b"), {"train": replace(split(), labels=torch.zeros(6, dtype=torch.int64))}, "one class only"),
    ],
)
def test_unusable_data_sets_are_refused(classes: tuple[str, ...], change: dict[str, Split], message: str) -> None:
    with pytest.raises(DataError, match=message):
        DataSet.of("x", classes, **({"train": split(), "validation": split(), "test": split()} | change))


def test_unusable_splits_are_refused() -> None:
    with pytest.raises(DataError, match="uint8"):
        Split(images=torch.zeros(2, 1, 3, 3), labels=torch.zeros(2, dtype=torch.int64))
    with pytest.raises(DataError, match="as many int64 labels"):
        Split(images=split().images, labels=torch.zeros(5, dtype=torch.int64))
