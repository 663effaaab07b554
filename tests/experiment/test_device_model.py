"""What the ranges of an int8 file are taken from."""

import pytest
import torch

from hwnas.data import DataSet, Split
from hwnas.models.deploying import calibration_images


@pytest.mark.parametrize("images", [2, 255, 256, 257, 400, 511, 1024])
def test_calibration_images_come_from_all_of_a_split_that_is_sorted_by_class(images: int) -> None:
    number = torch.arange(images)
    pixels = torch.stack([number % 256, number // 256], 1).to(torch.uint8)[:, None, None, :]  # an image says which it is
    split = Split(images=pixels, labels=number * 2 // images)
    chosen = (calibration_images(DataSet.of("sorted", ("a", "b"), split, split, split)) * 255).round()[:, 0, 0] @ [1, 256]
    assert len(chosen) == min(images, 256)
    steps = {*(chosen[1:] - chosen[:-1]).tolist(), images - chosen[-1]}
    assert chosen[0] == 0
    assert max(steps) - min(steps) <= 1  # all of the same size, but for rounding
