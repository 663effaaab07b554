"""The Pareto archive: non-dominated boxes, one member a box: the epsilon-Pareto archive of [Laumanns2002]. Which member keeps a
box is our definition, so that the order of arrival does not matter.

`front` is the definition: of all candidates take the best in each box, then keep the boxes that no other box
dominates. `ParetoArchive` is the same, one candidate at a time. It may forget what it rejects: box dominance is
transitive, and a member only leaves to a better candidate of its own box or to a box that dominates it, so whatever
beat a forgotten candidate is itself still there or beaten by something that is. This fails only if a candidate's
values change; then ask `front` again, with everything.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import ArrayLike

from hwnas.pareto.boxes import Resolution, boxes
from hwnas.pareto.dominance import non_dominated
from hwnas.pareto.points import BoolArray, FloatArray, as_points

Tie = tuple[float, ...]


class AddStatus(StrEnum):
    """What became of a candidate offered to the archive."""

    ADDED = "added"
    """Its box is new and no other dominates it."""
    REPLACED = "replaced"
    """It took over its box from a member with a worse tie key."""
    BOX_TAKEN = "box_taken"
    """Its box has a better member."""
    DOMINATED = "dominated"
    """A member's box dominates its box."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AddReport:
    """What one `ParetoArchive.add` did: the status, and the ids of the members that had to go."""

    status: AddStatus
    removed: tuple[str, ...] = ()

    @property
    def accepted(self) -> bool:
        """Whether the candidate is a member now."""
        return self.status in (AddStatus.ADDED, AddStatus.REPLACED)


def front(ids: Sequence[str], points: ArrayLike, ties: Sequence[Tie], resolutions: Sequence[Resolution]) -> tuple[str, ...]:
    """Ids of the box-nondominated candidates among all n, best tie key first; `points` is `(n, m)`.

    Within a box the smallest (tie, id) stays. A function of the set: the order of the candidates does not matter.
    Raises: ValueError for values that are not finite, repeated ids, or lengths that differ.
    """
    grid = boxes(points, resolutions)
    if not len(ids) == len(ties) == len(grid) == len(set(ids)):
        raise ValueError(
            f"expected as many different ids and ties as points, got {len(ids)} ids ({len(set(ids))} different), "
            f"{len(ties)} ties and {len(grid)} points"
        )
    best: dict[tuple[float, ...], int] = {}
    for index, box in enumerate(map(tuple, grid.tolist())):
        holder = best.setdefault(box, index)
        if (ties[index], ids[index]) < (ties[holder], ids[holder]):
            best[box] = index
    chosen = np.fromiter(best.values(), dtype=np.int64, count=len(best))
    keys = sorted((ties[index], ids[index]) for index in chosen[non_dominated(grid[chosen])])
    return tuple(candidate_id for _, candidate_id in keys)


class ParetoArchive:
    """The front of everything offered so far, in epsilon boxes; a rejected candidate costs one pass over the front."""

    def __init__(self, resolutions: Sequence[Resolution]) -> None:
        """Start empty, with one resolution for each of the m objectives."""
        self._resolutions = tuple(resolutions)
        self._boxes: FloatArray = np.empty((0, len(self._resolutions)))
        self._values: FloatArray = np.empty((0, len(self._resolutions)))
        self._keys: list[tuple[Tie, str]] = []

    def __len__(self) -> int:
        return len(self._keys)

    @property
    def ids(self) -> tuple[str, ...]:
        """Ids of the members, best tie key first."""
        return tuple(candidate_id for _, candidate_id in sorted(self._keys))

    @property
    def points(self) -> FloatArray:
        """Values `(n, m)` of the members, rows in the order of `ids`."""
        return self._values[sorted(range(len(self)), key=self._keys.__getitem__)]

    def add(self, candidate_id: str, values: ArrayLike, tie: Tie) -> AddReport:
        """Offer a candidate with its m `values`; `tie` orders candidates of one box, smaller is better.

        Offer each candidate once: a second time is noticed only in the box that it holds. Raises: ValueError for values that
        are not finite or not m of them, and for an id that holds the box already.
        """
        point = as_points(np.asarray(values, dtype=np.float64)[np.newaxis])
        box = boxes(point, self._resolutions)
        key = (tie, candidate_id)
        at_most: BoolArray = np.all(self._boxes <= box, axis=1)
        if at_most.any():
            # Members do not dominate each other, so a member in this very box is the only one that is at most it.
            holder = int(at_most.argmax())
            if (self._boxes[holder] < box).any():
                return AddReport(status=AddStatus.DOMINATED)
            return self._contest(holder, point, key)
        gone: BoolArray = np.all(self._boxes >= box, axis=1)
        removed = self._remove(gone) if gone.any() else ()
        self._boxes = np.concatenate((self._boxes, box))
        self._values = np.concatenate((self._values, point))
        self._keys.append(key)
        return AddReport(status=AddStatus.ADDED, removed=removed)

    def _contest(self, holder: int, point: FloatArray, key: tuple[Tie, str]) -> AddReport:
        if self._keys[holder][1] == key[1]:
            raise ValueError(f"candidate {key[1]} is a member already; offer each candidate once")
        if self._keys[holder] <= key:
            return AddReport(status=AddStatus.BOX_TAKEN)
        removed = self._keys[holder][1]
        self._keys[holder] = key
        self._values[holder] = point[0]
        return AddReport(status=AddStatus.REPLACED, removed=(removed,))

    def _remove(self, gone: BoolArray) -> tuple[str, ...]:
        removed = tuple(self._keys[index][1] for index in np.flatnonzero(gone))
        self._boxes, self._values = self._boxes[~gone], self._values[~gone]
        self._keys = [key for key, leaves in zip(self._keys, gone, strict=True) if not leaves]
        return removed
