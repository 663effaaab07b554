"""``--validation``: images that a network has not seen, in a place of their own."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from hwnas.data import load
from hwnas.errors import ConfigError, DataError
from hwnas.settings import DataSettings


def folder(root: Path, counts: dict[str, int], *, seed: int, size: tuple[int, int] = (8, 8), mode: str = "RGB") -> Path:
    """Class folders of random images."""
    rng = np.random.default_rng(seed)
    for name, count in counts.items():
        (root / name).mkdir(parents=True)
        for number in range(count):
            pixels = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
            Image.fromarray(pixels).convert(mode).save(root / name / f"{number}.png")
    return root


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return folder(tmp_path / "photos", {"cat": 20, "dog": 20, "owl": 20}, seed=0)


def settings(source: Path, validation: Path, **more: object) -> DataSettings:
    return DataSettings(source=str(source), validation=str(validation), cache_folder=source.parent / "cache", **more)


def test_all_its_images_are_validation_images_and_the_training_images_stay(source: Path, tmp_path: Path) -> None:
    held_out = folder(tmp_path / "held out", {"dog": 3, "owl": 4}, seed=1, size=(12, 16))
    plain, own = load(DataSettings(source=str(source), cache_folder=tmp_path / "cache")), load(settings(source, held_out))
    assert torch.bincount(own.validation.labels, minlength=3).tolist() == [0, 3, 4]  # by name, not by number
    assert own.validation.images.shape == (7, 3, 8, 8)
    assert torch.equal(own.test.images, plain.test.images)
    assert len(own.train) == len(plain.train) + len(plain.validation)
    assert own.origin is not None
    assert own.origin.has_own_validation
    assert "held out" in own.origin.splits["validation"]


def test_grey_images_are_coloured_ones_of_equal_channels(source: Path, tmp_path: Path) -> None:
    held_out = folder(tmp_path / "grey", {"cat": 2, "dog": 2}, seed=1, mode="L")
    images = load(settings(source, held_out)).validation.images
    assert torch.equal(images[:, 0], images[:, 2])


def test_another_class_is_named(source: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="fox"):
        load(settings(source, folder(tmp_path / "other", {"cat": 2, "fox": 2}, seed=1)))


def test_a_place_that_is_not_there_is_named(source: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere"):
        load(settings(source, tmp_path / "nowhere"))


def test_the_digits_have_their_own() -> None:
    with pytest.raises(ConfigError, match="digits"):
        DataSettings(validation="photos")
