"""The real data sets beside the repository, where they are."""

from pathlib import Path

import pyarrow
import pyarrow.compute
import pyarrow.parquet
import pytest
import torch

from hwnas.data import default_augmentation
from tests.data.samples import Loader


def test_cifar10s_test_images_have_their_published_mean(shared: Path, load_from: Loader) -> None:
    data = load_from(shared / "cifar10" / "test.parquet")
    images = torch.cat([split.images for split in (data.train, data.validation, data.test)])
    assert images.shape == (10_000, 3, 32, 32)
    mean = images.double().mean((0, 2, 3)) / 255
    torch.testing.assert_close(mean, torch.tensor([0.4942, 0.4851, 0.4504], dtype=torch.float64), rtol=0, atol=5e-5)
    assert data.train.labels.bincount().tolist() == [700] * 10
    assert data.validation.labels.bincount().tolist() == [100] * 10
    assert default_augmentation(data).flip


def test_gtsrbs_signs_are_never_split(shared: Path, tmp_path: Path, load_from: Loader) -> None:
    table = pyarrow.parquet.read_table(shared / "gtsrb" / "train.parquet")
    labels = table["label"]
    # Its three smallest classes: seven tracks each.
    some = table.filter(pyarrow.compute.is_in(labels, pyarrow.array([0, 19, 37]))).sort_by("label")
    pyarrow.parquet.write_table(some, tmp_path / "train.parquet")
    pyarrow.parquet.write_table(some.slice(0, 20), tmp_path / "test.parquet")
    data = load_from(tmp_path, group_by=r"path:^\d+/\d+_", validation_share=0.2)
    assert len(data.classes) == 43
    assert data.shape == (3, 32, 32)
    per_class = data.validation.labels.bincount()[[0, 19, 37]]
    assert (per_class % 30 == 0).all()
    assert (per_class > 0).all()
    assert not default_augmentation(data).flip


@pytest.mark.parametrize("name", ["cifar10", "gtsrb"])
def test_class_names_are_read_from_the_metadata(name: str, shared: Path, tmp_path: Path, load_from: Loader) -> None:
    rows = pyarrow.parquet.ParquetFile(shared / name / "test.parquet").read_row_group(0).slice(0, 200)
    pyarrow.parquet.write_table(rows, tmp_path / "few.parquet")
    data = load_from(tmp_path / "few.parquet")
    assert {"cifar10": "truck", "gtsrb": "stop"}[name] in data.classes
    assert len(data.train) + len(data.validation) + len(data.test) == 200
