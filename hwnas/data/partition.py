"""Splitting rows in two: seeded, stratified by class, groups kept whole."""

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]


def split_rows(labels: Ints, groups: Ints | None, share: float, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """Return the indices of the rows that are kept and of those set aside, both ascending.

    labels: (n,), each at least 0. groups: (n,) group of each row, None where each row stands alone.
    share: of the rows to set aside, in (0, 1).
    """
    aside = _stratified(labels, share, rng) if groups is None else _stratified_groups(labels, groups, share, rng)
    return np.flatnonzero(~aside), np.flatnonzero(aside)


def _stratified(labels: Ints, share: float, rng: np.random.Generator) -> npt.NDArray[np.bool_]:
    """Set aside round(share x n) rows by largest remainders: of each class its share rounded up or down, never all of it."""
    counts = np.bincount(labels)
    quotas = np.floor(counts * share).astype(np.int64)
    missing = round(len(labels) * share) - int(quotas.sum())
    for label in np.argsort(quotas - counts * share, kind="stable")[: max(missing, 0)]:
        quotas[label] += quotas[label] + 1 < counts[label]
    aside = np.zeros(len(labels), dtype=np.bool_)
    for label, quota in enumerate(quotas):
        aside[rng.permutation(np.flatnonzero(labels == label))[:quota]] = True
    return aside


def _stratified_groups(labels: Ints, groups: Ints, share: float, rng: np.random.Generator) -> npt.NDArray[np.bool_]:
    """Take the groups in random order; set one aside if that brings the class counts nearer to their share (our definition).

    Nearness is chi-squared: the sum over classes of (set aside - wanted)^2 / wanted.
    """
    ids, members = np.unique(groups, return_inverse=True)
    classes = int(labels.max()) + 1
    counts = np.bincount(members * classes + labels, minlength=len(ids) * classes).reshape(len(ids), classes)
    wanted = np.maximum(counts.sum(axis=0) * share, 1e-9)
    missing = wanted.copy()
    chosen = np.zeros(len(ids), dtype=np.bool_)
    for group in rng.permutation(len(ids)):
        left = missing - counts[group]
        if (left**2 / wanted).sum() < (missing**2 / wanted).sum():
            chosen[group], missing = True, left
    return chosen[members]
