"""When a run ends, and how many images a child is trained on."""

import time
from collections.abc import Callable

from torch import Generator

from hwnas.config import Budget
from hwnas.data import Augmentation, DataSet
from hwnas.graph import Graph
from hwnas.morphism.fresh import from_scratch
from hwnas.network import Network, transfer
from hwnas.training import TrainerSettings, train

DEFAULT_TIME_S = 180.0
# Of a time budget: at least ten generations must fit (issue 2); planned are more, since networks grow on the way.
PLANNED_GENERATIONS = 16
TRAINING_SHARE = 0.75
GROWTH = 1.5  # how much slower the children train than the initial networks do
PROBE_S = 0.4
LEAST_STEPS = 64


class Clock:
    """The time that a run has used, over all its sittings; monotonic, so a clock that jumps does not matter."""

    def __init__(self, budget: Budget, used_s: float = 0.0, now: Callable[[], float] = time.monotonic) -> None:
        self._limit_s = time_limit_s(budget)
        self._now = now
        self._started = now() - used_s

    @property
    def used_s(self) -> float:
        """Seconds used so far."""
        return self._now() - self._started

    @property
    def left_s(self) -> float | None:
        """Seconds left, not below 0; None where time is not limited."""
        return None if self._limit_s is None else max(0.0, self._limit_s - self.used_s)

    @property
    def is_over(self) -> bool:
        """Whether the time is used up."""
        return self.left_s == 0.0


def time_limit_s(budget: Budget) -> float | None:
    """The run's time limit; three minutes where no limit of any kind is given."""
    if budget.time is None and budget.generations is None and budget.max_evaluations is None:
        return DEFAULT_TIME_S
    return budget.time


def images_per_child(
    budget: Budget,
    *,
    data: DataSet,
    trainer: TrainerSettings,
    augmentation: Augmentation,
    initial: list[Graph],
    accepted: int,
    workers: int,
) -> int:
    """How many images each child is trained on, chosen once for a run.

    As configured; or a fixed default where no time is given, so that such runs repeat exactly; or, with a time budget, what
    lets the planned generations fit at the speed at which a middling initial network trains right now.
    """
    if budget.images_per_child is not None:
        return budget.images_per_child
    limit_s = time_limit_s(budget)
    if limit_s is None:
        return max(8000, len(data.train))
    rate = _images_per_second(initial[len(initial) // 2], data, trainer, augmentation)
    children = PLANNED_GENERATIONS * accepted + len(initial)
    images = limit_s * TRAINING_SHARE * workers * rate / GROWTH / children
    least = LEAST_STEPS * trainer.batch_size
    return max(least, min(round(images), 50 * len(data.train)))


def _images_per_second(graph: Graph, data: DataSet, trainer: TrainerSettings, augmentation: Augmentation) -> float:
    """How fast one worker trains a network; the first training, which also loads parts of torch, does not count."""
    generator = Generator().manual_seed(0)
    network = Network(graph, transfer([(graph, from_scratch(graph))], {}, generator))
    images, spent_s = 4 * trainer.batch_size, 0.0
    train(network, data, settings=trainer, augmentation=augmentation, images=images, generator=generator)
    while spent_s < PROBE_S:
        images *= 2
        training = train(network, data, settings=trainer, augmentation=augmentation, images=images, generator=generator)
        spent_s = training.seconds
    return images / spent_s
