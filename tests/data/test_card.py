"""What is said of a user's data before a search."""

from pathlib import Path

import numpy as np
import pytest
import torch

from hwnas.data import DataSet, Split, describe
from hwnas.data.files import find_files
from hwnas.errors import ConfigError
from hwnas.settings import Augmentation, DataSettings
from tests.data.samples import Loader, encode, write_folder


def photos(root: Path) -> Path:
    """Two classes of 40 training images, one of them with a wide image, and an own test folder; and what cannot be read."""
    write_folder(root / "train", ["keep left", "stop"], count=40)
    write_folder(root / "test", ["keep left", "stop"], count=5)
    (root / "train" / "yield").mkdir()
    for number in range(3):
        (root / "train" / "stop" / f"IMG_{number}.HEIC").write_bytes(b"x")
    wide = np.random.default_rng(5).integers(0, 256, (10, 20, 3), dtype=np.uint8)
    (root / "train" / "stop" / "wide.png").write_bytes(encode(wide))
    return root


def test_a_card_says_what_is_there_and_what_is_done_to_it(tmp_path: Path, load_from: Loader) -> None:
    data = load_from(photos(tmp_path / "signs"), image_size=(8, 8))
    card = describe(data, Augmentation(crop_padding=1), "balanced_error")
    counts = [(each.name, each.train + each.validation, each.test) for each in card.classes]
    assert counts == [("keep left", 40, 5), ("stop", 41, 5)]
    text = "\n".join(card.lines())
    assert "Data: signs, 2 classes of 36 to 37 training images each, RGB" in text
    assert "8 validation images (10 % of the training folder)" in text
    assert "10 test images (your test folder); the search never sees them" in text
    assert (
        "8x8 pixels: each image is scaled to cover it, cropped at the centre\n  91 of 91 images lose edges; --fit stretch" in text
    )
    assert "shifts by up to 1 pixels, never mirrored" in text
    assert "metric: balanced error; differences below 15 points are noise" in text
    assert "left out: 3 .HEIC files, no format that is read (such as train/stop/IMG_0.HEIC)" in text
    assert "left out: the folder train/yield, which holds no image" in text
    assert "warning: only 8 validation images: one of them is 12.5 points of error" in text
    assert card.to_json()["sizes"] == 2


def test_it_is_the_same_from_the_cache(tmp_path: Path, load_from: Loader) -> None:
    source = photos(tmp_path / "signs")
    first, second = (describe(load_from(source, image_size=(8, 8)), Augmentation()) for _ in range(2))
    assert first == second
    assert first.cropped == 91


def test_images_that_are_in_two_splits_or_two_classes_are_found(tmp_path: Path, load_from: Loader) -> None:
    card = describe(load_from(write_folder(tmp_path / "same", ["cat", "dog"], count=30)), Augmentation())
    text = "\n".join(card.lines())
    assert "images are in several classes at once (cat, dog)" in text  # write_folder draws each class from one seed
    rng = np.random.default_rng(0)
    for split in ("train", "test"):
        for name in ("cat", "dog"):
            (tmp_path / "leak" / split / name).mkdir(parents=True)
            for number in range(20):
                pixels = rng.integers(0, 256, (8, 8), dtype=np.uint8)
                (tmp_path / "leak" / split / name / f"{number}.png").write_bytes(encode(pixels))
    clean = describe(load_from(tmp_path / "leak", validation_share=0.2), Augmentation())
    assert not [warning for warning in clean.warnings if "training images, too" in warning]
    for number in range(3):
        twin = tmp_path / "leak" / "train" / "cat" / f"{number}.png"
        (tmp_path / "leak" / "test" / "cat" / f"copy{number}.png").write_bytes(twin.read_bytes())
    leaking = describe(load_from(tmp_path / "leak", validation_share=0.2), Augmentation())
    found = [warning for warning in leaking.warnings if "test images are training images, too" in warning]
    assert len(found) == 1
    assert found[0].split()[0] in {"1", "2", "3"}  # of three, some may have gone into validation


def uneven(counts: tuple[int, ...]) -> DataSet:
    labels = torch.tensor([label for label, count in enumerate(counts) for _ in range(count)])
    images = torch.arange(len(labels) * 4, dtype=torch.int64).reshape(-1, 1, 2, 2).to(torch.uint8)
    split = Split(images=images, labels=labels)
    return DataSet.of("uneven", tuple("abcdefgh"[: len(counts)]), split, split, split)


def test_uneven_and_empty_classes_are_warned_of() -> None:
    warnings = describe(uneven((60, 5, 0)), Augmentation()).warnings
    assert any("no training image of c" in warning for warning in warnings)
    assert any("fewer than 10 training images of b" in warning for warning in warnings)
    assert any("--metric balanced_error" in warning for warning in warnings)
    assert not any("--metric" in warning for warning in describe(uneven((60, 5)), Augmentation(), "balanced_error").warnings)


@pytest.mark.parametrize(("fit", "sides"), [("crop", 255), ("stretch", 0), ("pad", 0)])
def test_an_image_is_fitted_as_asked(fit: str, sides: int, tmp_path: Path, load_from: Loader) -> None:
    """A wide image whose left and right thirds are black: cropped they are lost, padded there is black above."""
    pixels = np.zeros((30, 90), dtype=np.uint8)
    pixels[:, 30:60] = 255
    for name in ("a", "b"):
        (tmp_path / "wide" / name).mkdir(parents=True)
        for number in range(12):
            pixels[0, 0] = number + 20 * (name == "b")
            (tmp_path / "wide" / name / f"{number}.png").write_bytes(encode(pixels))
    data = load_from(tmp_path / "wide", image_size=(30, 30), fit=fit)
    image = data.train.images[0, 0]
    assert int(image[15, 1]) == sides
    assert int(image[15, 15]) == 255
    assert int(image[1, 15]) == (0 if fit == "pad" else 255)
    assert describe(data, Augmentation()).cropped == (24 if fit == "crop" else 0)


def test_a_fit_that_there_is_none_of_is_refused() -> None:
    with pytest.raises(ConfigError, match="fit is crop, stretch, pad, got 'squeeze'"):
        DataSettings(fit="squeeze")


def test_folders_that_hold_images_below_are_not_empty(tmp_path: Path) -> None:
    write_folder(tmp_path / "x" / "train", ["cat", "dog"], count=1)
    (tmp_path / "x" / "train" / "bird" / "deep").mkdir(parents=True)
    (tmp_path / "x" / ".hidden").mkdir()
    files = find_files(tmp_path / "x")
    assert [path.name for path in files.empty] == ["bird"]
    assert files.left_out == ()
