import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

import hwnas.data.batches
from hwnas.data import (
    Augmentation,
    DataSet,
    DataSettings,
    Split,
    class_weights,
    evaluation_batches,
    load,
    normalise,
    step_count,
    training_batches,
)
from hwnas.errors import ConfigError


@pytest.fixture(scope="module")
def digits() -> DataSet:
    return load(DataSettings())


def numbered(count: int) -> DataSet:
    """A data set whose labels number its images."""
    images = torch.arange(count * 6, dtype=torch.uint8).view(count, 1, 2, 3)
    split = Split(images=images, labels=torch.arange(count))
    return DataSet.of("numbered", tuple(map(str, range(count))), split, split, split)


def run(
    data: DataSet, images: int, batch_size: int, seed: int = 0, **augmentation: float
) -> list[tuple[torch.Tensor, torch.Tensor]]:
    generator = torch.Generator().manual_seed(seed)
    chosen = Augmentation(**augmentation)
    return list(training_batches(data, images=images, batch_size=batch_size, augmentation=chosen, generator=generator))


@given(count=st.integers(2, 12), images=st.integers(1, 60), batch_size=st.integers(1, 20))
def test_full_batches_run_through_one_random_order_after_another(count: int, images: int, batch_size: int) -> None:
    batches = run(numbered(count), images, batch_size)
    assert len(batches) == step_count(images, batch_size) == (images + batch_size - 1) // batch_size
    assert {len(labels) for _, labels in batches} == {batch_size}
    seen = torch.cat([labels for _, labels in batches])
    for order in torch.split(seen, count):
        assert len(set(order.tolist())) == len(order)


def test_images_stay_with_their_labels() -> None:
    data = numbered(12)
    for images, labels in run(data, 40, 5):
        torch.testing.assert_close(images, normalise(data.train.images[labels], data))


@pytest.mark.parametrize("augmentation", [{}, {"crop_padding": 1, "flip": True, "cutout": 2, "mixup": 0.2}])
def test_the_generator_decides_everything(digits: DataSet, augmentation: dict[str, float]) -> None:
    first, again, other = (run(digits, 100, 16, seed, **augmentation) for seed in (1, 1, 2))
    assert all(torch.equal(a[0], b[0]) and torch.equal(a[1], b[1]) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[0][0], other[0][0])


def test_stretches_join_without_a_seam(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = run(numbered(10), 70, 4)
    monkeypatch.setattr(hwnas.data.batches, "_STRETCH_VALUES", 50)
    pieces = run(numbered(10), 70, 4)
    assert [labels.tolist() for _, labels in whole] == [labels.tolist() for _, labels in pieces]


def test_a_changed_batch_changes_nothing_else() -> None:
    data = numbered(6)
    before = data.fingerprint
    for images, labels in run(data, 12, 3):
        images.zero_()
        labels.zero_()
    assert DataSet.of(data.name, data.classes, data.train, data.validation, data.test).fingerprint == before


def test_augmented_batches_are_finite_and_mixed_labels_are_shares(digits: DataSet) -> None:
    images, shares = run(digits, 32, 32, crop_padding=1, flip=True, cutout=3, mixup=0.3)[0]
    assert images.shape == (32, 1, 8, 8)
    assert images.dtype == shares.dtype == torch.float32
    assert shares.shape == (32, 10)
    assert images.isfinite().all()
    assert functional.cross_entropy(torch.zeros(32, 10), shares).isfinite()


def test_the_training_split_is_normalised_to_mean_0_and_deviation_1(digits: DataSet) -> None:
    values = normalise(digits.train.images, digits)
    assert abs(float(values.mean())) < 1e-5
    assert float(values.std(correction=0)) == pytest.approx(1, abs=1e-5)
    expected = (digits.train.images.double() / 255 - digits.mean[0]) / digits.std[0]
    torch.testing.assert_close(values.double(), expected, rtol=1e-5, atol=1e-6)


def test_evaluation_goes_through_a_split_once_in_order(digits: DataSet) -> None:
    batches = list(evaluation_batches(digits, digits.validation, 100))
    assert [len(labels) for _, labels in batches] == [100, 100, 100, 59]
    assert torch.equal(torch.cat([labels for _, labels in batches]), digits.validation.labels)
    assert torch.equal(torch.cat([images for images, _ in batches]), normalise(digits.validation.images, digits))


def test_empty_requests_are_refused(digits: DataSet) -> None:
    with pytest.raises(ConfigError, match="at least 1"):
        run(digits, 0, 16)
    with pytest.raises(ConfigError, match="at least 1"):
        run(digits, 16, 0)


def test_class_weights_balance_the_classes() -> None:
    labels = torch.tensor([0] * 6 + [1] * 3 + [3] * 1)
    weights = class_weights(labels, 4)
    assert weights[weights > 0].mean() == pytest.approx(1)
    torch.testing.assert_close(weights * torch.tensor([6.0, 3.0, 0.0, 1.0]), torch.tensor([1.0, 1.0, 0.0, 1.0]) * weights[3])
    torch.testing.assert_close(class_weights(torch.arange(4), 4), torch.ones(4))
