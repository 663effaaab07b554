"""NASH: hill climbing by network morphisms [Elsken2017, algorithm 1].

The most accurate network so far is the only parent. Each generation tries ``accepted`` children of it, each made by up to
``max_operators`` operators, drawn uniformly (8 neighbours by 5 morphisms in the paper); all are trained with one short cosine
schedule, and the most accurate of them and the parent is the next parent.

Two differences: in the paper the parent is trained on beside its children, here it competes as it is, since a network with the
same settings is tried once; and where the paper applies exactly five morphisms, here it is one to five, our own among them.
Of several objectives the error alone selects; the run's front still holds what is best in all.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hwnas.candidate import Candidate
from hwnas.errors import ConfigError
from hwnas.search.evolution import Evolution, EvolutionSettings, Member
from hwnas.search.strategy import Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class NashSettings(EvolutionSettings):
    """As ``EvolutionSettings``, with the paper's five operators at most."""

    max_operators: int = 5

    def begin(self, problem: Problem) -> "Nash":
        """The strategy at its beginning. Raises ConfigError where the error is no objective."""
        return Nash(self, problem)


class Nash(Evolution):
    """The strategy: its population is the most accurate network."""

    def __init__(self, settings: NashSettings, problem: Problem) -> None:
        super().__init__(settings, problem)
        names = [objective.name for objective in problem.objectives]
        if "error" not in names:
            raise ConfigError(f"nash climbs by the error, which is not among the objectives: {', '.join(names)}")
        self._error = names.index("error")

    def selected(self, population: Sequence[Member], count: int, rng: np.random.Generator) -> list[Candidate]:
        """The one network, again and again."""
        return [population[0].candidate] * count

    def survivors(self, population: Sequence[Member]) -> list[Member]:
        """The most accurate; of equal ones the oldest."""
        return [min(population, key=lambda member: member.row[self._error])]
