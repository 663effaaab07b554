import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hwnas.data.partition import split_rows

LABELS = arrays(np.int64, st.integers(1, 120), elements=st.integers(0, 6))
SHARES = st.floats(0.05, 0.5)


@given(labels=LABELS, share=SHARES, seed=st.integers(0, 9))
def test_rows_are_split_by_class_share(labels: np.ndarray, share: float, seed: int) -> None:
    kept, aside = split_rows(labels, None, share, np.random.default_rng(seed))
    assert sorted([*kept, *aside]) == list(range(len(labels)))
    assert (np.diff(kept) > 0).all()
    assert (np.diff(aside) > 0).all()
    counts, taken = np.bincount(labels), np.bincount(labels[aside], minlength=labels.max() + 1)
    assert (np.abs(taken - counts * share) < 1).all()
    assert (taken[counts > 0] < counts[counts > 0]).all()
    assert len(aside) <= round(len(labels) * share)


def test_the_total_is_the_share() -> None:
    labels = np.arange(1797) % 10
    assert len(split_rows(labels, None, 0.2, np.random.default_rng(0))[1]) == 359


def test_the_seed_decides() -> None:
    labels = np.arange(100) % 5
    first, again, other = (split_rows(labels, None, 0.3, np.random.default_rng(seed))[1] for seed in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).any()


@given(labels=LABELS, share=SHARES, seed=st.integers(0, 9), data=st.data())
def test_groups_stay_whole(labels: np.ndarray, share: float, seed: int, data: st.DataObject) -> None:
    groups = data.draw(arrays(np.int64, len(labels), elements=st.integers(0, 30)))
    kept, aside = split_rows(labels, groups, share, np.random.default_rng(seed))
    assert sorted([*kept, *aside]) == list(range(len(labels)))
    assert not set(groups[kept]) & set(groups[aside])
    # Setting aside nothing has the distance sum(wanted): no choice may be worse.
    wanted = np.bincount(labels) * share
    taken = np.bincount(labels[aside], minlength=len(wanted))
    assert ((taken - wanted) ** 2 / np.maximum(wanted, 1e-9)).sum() <= wanted.sum() + 1e-6


def test_equal_groups_of_one_class_come_to_the_exact_share() -> None:
    labels, groups = np.repeat(np.arange(4), 300), np.repeat(np.arange(40), 30)
    _, aside = split_rows(labels, groups, 0.2, np.random.default_rng(3))
    assert np.bincount(labels[aside]).tolist() == [60] * 4
