"""Which networks are trained to the end, and for how long: decided here, stored before the first of them is trained.

1. Along the front: first its most accurate member, then always the one that adds most to the hypervolume of those chosen.
2. A time is divided so that every network sees the data equally often: to each the more, the longer one epoch of it takes.
3. No more epochs than are of use: what time is left over goes to further members.

All of it is our definition.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log10

from hwnas.data import Augmentation
from hwnas.errors import ConfigError
from hwnas.objective import Objective
from hwnas.pareto import Bounds, hypervolume
from hwnas.training import TrainerSettings

EVENT = "final"
LEAST_EPOCHS = 3  # with less a network is hardly better than the search left it: fewer networks are trained instead
SMALLEST = 1e-12  # of a value whose logarithm is taken


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """One training to the end: of ``parent``, on ``images`` images; ``seconds_per_image`` is what they are thought to take.

    Where there is time for more images, they are ``most`` at most.
    """

    parent: str
    images: int
    most: int
    seconds_per_image: float
    teacher: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Trainings to the end, asked for together; ``number`` counts the plans of a run, the candidates are ``t<number>-<slot>``.

    ``request`` is what was asked for, in words that a repetition has in common, ``searched`` how many outcomes the search had by
    then. ``limit_s``: they may take this time together; None: they take what they take.
    """

    number: int
    request: str
    searched: int
    inherits: bool
    trainer: TrainerSettings
    augmentation: Augmentation
    goals: tuple[Goal, ...]
    limit_s: float | None = None


def along_the_front(values: Mapping[str, Mapping[str, float]], objectives: Sequence[Objective]) -> list[str]:
    """Ids of a front in the order in which they are chosen (1.); ``values`` by id, most accurate first."""
    if not values:
        return []
    rows = {name: [_axis(objective, found) for objective in objectives] for name, found in values.items()}
    bounds = [_around([row[column] for row in rows.values()]) for column in range(len(objectives))]
    left = list(values)
    chosen = [left.pop(0)]
    while left:
        gains = [hypervolume([*(rows[name] for name in chosen), rows[name]], bounds) for name in left]
        chosen.append(left.pop(max(range(len(left)), key=gains.__getitem__)))
    return chosen


def epochs_in_time(seconds: Sequence[float], limit_s: float, *, workers: int, models: int, most: float) -> tuple[int, float]:
    """How many of the networks are trained, the first ones, and each for how many epochs (2. and 3.).

    ``seconds`` are those of one epoch of each network, on one of the ``workers``. (0, 0.0) where there is no time for an epoch.
    """
    count = min(models, len(seconds))
    while count > 1 and epochs_each(seconds[:count], limit_s, workers) < LEAST_EPOCHS:
        count -= 1
    while count < len(seconds) and epochs_each(seconds[: count + 1], limit_s, workers) >= most:
        count += 1
    epochs = min(most, epochs_each(seconds[:count], limit_s, workers)) if count else 0.0
    return (count, epochs) if epochs >= 1 else (0, 0.0)


def refuse_short(seconds: Sequence[float], limit_s: float, epochs: float) -> None:
    """Raise ConfigError where a time is too short for one epoch of each network."""
    if epochs < 1:
        least = sum(seconds)
        raise ConfigError(
            f"a time budget of {limit_s:.3g} s is shorter than one epoch of the {len(seconds)} chosen, about {least:.3g} s: "
            "give more time, or choose fewer networks with --models"
        )


def epochs_each(seconds: Sequence[float], limit_s: float, workers: int) -> float:
    """The epochs that fit into a time where every network gets as many.

    All workers are busy, and the slowest network has one of them to itself.
    """
    return min(limit_s * workers / sum(seconds), limit_s / max(seconds))


def _axis(objective: Objective, values: Mapping[str, float]) -> float:
    value = values[objective.name]
    return log10(max(value, SMALLEST)) if objective.size_like else value


def _around(values: Sequence[float]) -> Bounds:
    """From the best value to a tenth of the range beyond the worst, which so counts, too."""
    low, high = min(values), max(values)
    return Bounds(low=low, high=high + 0.1 * (high - low) if high > low else low + 1.0)
