"""A few points that stand for a front: its knee, and a dozen along it."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from hwnas.pareto.scaling import losses


def knee(points: ArrayLike, *, log: Sequence[bool]) -> int:
    """The index of the knee of a front `(n, m)`, n >= 1, m >= 2: from there on a gain in the first objective costs a lot.

    It is the point farthest below the line through the ends of the front [Das1999], drawn in two dimensions: what a point loses
    in the first objective, and what it loses in the others on average (our extension to m > 2), each from 0, the front's best, to
    1, its worst (of logarithms where `log`). So it is the point with the smallest sum of both; of equal ones that whose larger
    loss is smaller, then the first.
    """
    lost = losses(points, log)
    both = np.column_stack([lost[:, 0], lost[:, 1:].mean(axis=1)])
    return int(np.lexsort((np.arange(len(both)), both.max(axis=1), both.sum(axis=1)))[0])


def thinned(points: ArrayLike, most: int, *, log: Sequence[bool], among: Sequence[int] = ()) -> list[int]:
    """Indices, ascending, of at most `most` points of a front `(n, m)` that are spread over it.

    First those of `among`, then the best in each objective, then again and again the point that is farthest from all that are
    taken: farthest-first traversal [Gonzalez1985], between losses as `knee` has them. All points where there are no more.
    """
    lost = losses(points, log)
    if len(lost) <= most:
        return list(range(len(lost)))
    ends = (int(np.lexsort((lost.sum(axis=1), column))[0]) for column in lost.T)
    taken = list(dict.fromkeys([*among, *ends]))[:most]
    nearest = np.min([np.linalg.norm(lost - lost[index], axis=1) for index in taken], axis=0)
    while len(taken) < most:
        nearest[taken] = -1.0  # points of equal losses are at distance 0, too
        farthest = int(nearest.argmax())
        taken.append(farthest)
        nearest = np.minimum(nearest, np.linalg.norm(lost - lost[farthest], axis=1))
    return sorted(taken)
