"""Which networks are trained to the end, and for how long: decided here, stored before the first of them is trained.

1. Along the front: first its most accurate member, then always the one that adds most to the hypervolume of those chosen, over
   the error and the objectives that a longer training leaves as they are (sizes, latency). The hypervolume ends where errors are
   far above the least one: networks there are small, but nobody would train them that long.
2. A time is divided in proportion to the square root of what an epoch takes: a network of four times the work gets twice the
   time and half the epochs. With equal times large networks would be left half trained, with equal epochs they would have all.
3. No more epochs than are useful: what time is left over goes to the other networks and to further members.

All of it is our definition.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf, log10, sqrt

from hwnas.data import Augmentation
from hwnas.errors import ConfigError
from hwnas.objective import Objective
from hwnas.pareto import Bounds, hypervolume
from hwnas.training import TrainerSettings

EVENT = "final"
LEAST_EPOCHS = 3  # with less a network is hardly better than the search left it: fewer networks are trained instead
# Errors are far above the least one where they are beyond both, this many times it and this much more (our choice). The ones of
# CIFAR-10's searches are 30 to 60 %: without an end three of four networks were such of less than 10,000 parameters and 50 %.
FAR_TIMES, FAR_MORE = 1.5, 0.1
SMALLEST = 1e-12  # of a value whose logarithm is taken
ROUNDING = 1 - 1e-9  # what a sum of times may lose


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
    then. ``limit_s``: they may take this time together; None: they take what they take. ``also_validation``: they are trained on
    the validation images, too.
    """

    number: int
    request: str
    searched: int
    inherits: bool
    trainer: TrainerSettings
    augmentation: Augmentation
    goals: tuple[Goal, ...]
    limit_s: float | None = None
    also_validation: bool = False


def along_the_front(values: Mapping[str, Mapping[str, float]], objectives: Sequence[Objective]) -> list[str]:
    """Ids of a front in the order in which they are chosen (1.); ``values`` by id, most accurate first."""
    if not values:
        return []
    objectives = [each for each in objectives if each.name == "error" or each.cheap]
    rows = {name: [_axis(objective, found) for objective in objectives] for name, found in values.items()}
    bounds = [_around(objective, [row[column] for row in rows.values()]) for column, objective in enumerate(objectives)]
    left = list(values)
    chosen = [left.pop(0)]
    while left:
        gains = [hypervolume([*(rows[name] for name in chosen), rows[name]], bounds) for name in left]
        chosen.append(left.pop(max(range(len(left)), key=gains.__getitem__)))
    return chosen


def epochs_in_time(seconds: Sequence[float], limit_s: float, *, workers: int, models: int, most: float) -> tuple[float, ...]:
    """For how many epochs each of the first networks is trained; the others are not (2. and 3.).

    ``seconds`` are those of one epoch of each network, on one of the ``workers``. Empty where there is no time for an epoch.
    """
    count = min(models, len(seconds))
    while count > 1 and min(epochs_each(seconds[:count], limit_s, workers, most)) < LEAST_EPOCHS * ROUNDING:
        count -= 1
    while count < len(seconds) and min(epochs_each(seconds[: count + 1], limit_s, workers, most)) >= most * ROUNDING:
        count += 1
    epochs = epochs_each(seconds[:count], limit_s, workers, most)
    return epochs if min(epochs, default=0.0) >= 1 else ()


def refuse_short(seconds: Sequence[float], limit_s: float, epochs: Sequence[float]) -> None:
    """Raise ConfigError where a time is too short for one epoch of each network."""
    if min(epochs) < 1:
        least = sum(seconds)
        raise ConfigError(
            f"a time budget of {limit_s:.3g} s is shorter than one epoch of the {len(seconds)} chosen, about {least:.3g} s: "
            "give more time, or choose fewer networks with --models"
        )


def epochs_each(seconds: Sequence[float], limit_s: float, workers: int, most: float = inf) -> tuple[float, ...]:
    """For how many epochs each network is trained in a time (2.), at most ``most``.

    All workers are busy; no network takes longer than the time, for it has one worker at a time.
    """
    times, left_s, open_ = [0.0] * len(seconds), limit_s * workers, list(range(len(seconds)))
    while open_:
        unit = left_s / sum(sqrt(seconds[i]) for i in open_)
        full = [i for i in open_ if unit * sqrt(seconds[i]) >= min(limit_s, most * seconds[i])]
        for i in full or open_:
            times[i] = min(limit_s, most * seconds[i], unit * sqrt(seconds[i]))
            left_s -= times[i]
        open_ = [i for i in open_ if i not in full] if full else []
    return tuple(time / each for time, each in zip(times, seconds, strict=True))


def _axis(objective: Objective, values: Mapping[str, float]) -> float:
    value = values[objective.name]
    return log10(max(value, SMALLEST)) if objective.log_scale else value


def _around(objective: Objective, values: Sequence[float]) -> Bounds:
    """From the best value to a tenth of the range beyond the worst, which so counts, too; errors to where they are far."""
    low, high = min(values), max(values)
    end = high + 0.1 * (high - low) if high > low else low + 1.0
    return Bounds(low=low, high=min(end, max(FAR_TIMES * low, low + FAR_MORE)) if objective.name == "error" else end)
