"""Random search: every child changes a network that is drawn uniformly of all that were trained.

Nothing but chance selects, so this is what any other strategy has to beat with the same operators, trainer and budget.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hwnas.candidate import Candidate
from hwnas.search.evolution import Evolution, EvolutionSettings, Member
from hwnas.search.strategy import Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class RandomSettings(EvolutionSettings):
    """As ``EvolutionSettings``; with ``inherit`` false the networks are those of random walks trained from scratch."""

    def begin(self, problem: Problem) -> "RandomWalks":
        """The strategy at its beginning."""
        return RandomWalks(self, problem)


class RandomWalks(Evolution):
    """The strategy: its population is all that finished."""

    def selected(self, population: Sequence[Member], count: int, rng: np.random.Generator) -> list[Candidate]:
        """Drawn uniformly, with replacement."""
        return [population[index].candidate for index in rng.integers(len(population), size=count)]

    def survivors(self, population: Sequence[Member]) -> list[Member]:
        """Everybody."""
        return list(population)
