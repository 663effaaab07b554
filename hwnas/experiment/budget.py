"""When a run ends, and how many images a child is trained on."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from hwnas.config import Budget, Final
from hwnas.data import DataSet

DEFAULT_TIME_S = 180.0
# So many generations are planned, but fewer where a child would see less than ENOUGH of an epoch: errors of networks that hardly
# began to learn say little of what they will be. Of those planned so many must fit (LEAST_SHARE).
PLANNED_GENERATIONS = (14, 10, 7, 5)
ENOUGH = 0.5
LEAST_SHARE = 0.7
# How much slower the children train than the initial network that is timed, over a run; with 1.5 nine generations fitted into
# 15 minutes of CIFAR-10.
GROWTH = 1.9
MEASURING_S = 0.2  # what measuring one child takes
LEAST_STEPS = 64
MOST_EPOCHS = 20  # as in the paper; what time is left over goes into more generations


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildBudget:
    """On how many images each child is trained, from the start of a run on, and how many generations are planned with that."""

    images: int
    generations: int = PLANNED_GENERATIONS[0]


class Clock:
    """The time that a run has used, over all its sessions; monotonic, so a clock that jumps does not matter."""

    def __init__(self, budget: Budget, used_s: float = 0.0, now: Callable[[], float] = time.monotonic) -> None:
        self._limit_s = time_limit_s(budget)
        self._now = now
        self._started = now() - used_s
        self._stopped_s: float | None = None

    @property
    def used_s(self) -> float:
        """Seconds used so far."""
        return self._now() - self._started if self._stopped_s is None else self._stopped_s

    def stop(self) -> None:
        """Count no further."""
        self._stopped_s = self.used_s

    @property
    def left_s(self) -> float | None:
        """Seconds left, not below 0; None where time is not limited."""
        return None if self._limit_s is None else max(0.0, self._limit_s - self.used_s)

    def is_over(self, more_s: float = 0.0) -> bool:
        """Whether the time is used up, and ``more_s`` behind it."""
        return self._limit_s is not None and self.used_s >= self._limit_s + more_s


def time_limit_s(budget: Budget) -> float | None:
    """The run's time limit; three minutes where no limit of any kind is given."""
    if budget.time is None and budget.generations is None and budget.max_evaluations is None:
        return DEFAULT_TIME_S
    return budget.time


def search_budget(budget: Budget, final: Final) -> Budget:
    """The part of a budget that the search itself has: the share of the time that is kept for training to the end is left out."""
    limit_s = time_limit_s(budget)
    return budget if limit_s is None else budget.model_copy(update={"time": limit_s * (1 - final.share)})


def default_images(data: DataSet) -> int:
    """The training budget of a child where no time is given: fixed, so that such runs repeat exactly."""
    return max(8000, len(data.train))


def images_in_time(
    limit_s: float,
    images_per_second: float,
    *,
    accepted: int,
    measures: bool,
    batch_size: int,
    data: DataSet,
    trained_share: float = 1.0,
) -> ChildBudget:
    """The training budget of a child that lets the generations that are planned fit into a time limit.

    ``images_per_second`` is what all workers together train of a middling initial network, ``accepted`` the children of a
    generation, which are ``measures``-ed one after another and of whose budgets rungs leave the share ``trained_share``.
    """
    images = 0
    for planned in PLANNED_GENERATIONS:
        training_s = limit_s / planned - (accepted * MEASURING_S if measures else 0)
        images = round(max(training_s, 0.0) * images_per_second / GROWTH / (accepted * trained_share))
        if images >= ENOUGH * len(data.train):
            break
    images = max(LEAST_STEPS * batch_size, min(images, MOST_EPOCHS * len(data.train)))
    return ChildBudget(images=images, generations=planned)


def images_that_fit(images: int, *, generation: int, planned: int, took_s: float, left_s: float, least: int, most: int) -> int:
    """The training budget of a generation's children, where the one before took ``took_s`` with ``images`` for each.

    On a machine that has become slower it shrinks so that most of the generations ``planned`` still fit into the time left, down
    to ``least``; where the machine has become faster again it grows back, up to ``most``, what the run began with.
    """
    wanted_s = left_s / max(1, round(LEAST_SHARE * planned) - generation + 1)
    return max(min(least, most), min(most, round(images * wanted_s / took_s)))
