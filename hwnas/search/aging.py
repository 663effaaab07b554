"""Aging (regularised) evolution [Real2019]: tournaments select the parents, and the oldest dies, however good it is.

The paper's tournament is won by the most accurate; with several objectives it is won by the first one by non-dominated rank, then
by hypervolume contribution (``hwnas.pareto.best_first``; our extension). Its mutations are ours, by morphisms that inherit.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hwnas.candidate import Candidate
from hwnas.errors import ConfigError
from hwnas.pareto import Resolution, best_first
from hwnas.search.evolution import Evolution, EvolutionSettings, Member
from hwnas.search.strategy import Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class AgingSettings(EvolutionSettings):
    """``population`` networks live, of which ``tournament`` different ones compete to be a parent (100 and 25 in the paper, whose
    searches train 20,000 networks; here a search trains some dozens)."""

    population: int = 24
    tournament: int = 6

    def __post_init__(self) -> None:
        EvolutionSettings.__post_init__(self)
        if not 1 <= self.tournament <= self.population:
            raise ConfigError(
                f"a tournament takes 1 to as many networks as live, got tournament={self.tournament}, "
                f"population={self.population}"
            )

    def begin(self, problem: Problem) -> "AgingEvolution":
        """The strategy at its beginning."""
        return AgingEvolution(self, problem)


class AgingEvolution(Evolution):
    """The strategy: its population is the newest that finished."""

    def __init__(self, settings: AgingSettings, problem: Problem) -> None:
        super().__init__(settings, problem)
        self._settings = settings
        self._resolutions = [Resolution(size=each.resolution, relative=each.relative) for each in problem.objectives]
        self._log = [each.log_scale for each in problem.objectives]

    def selected(self, population: Sequence[Member], count: int, rng: np.random.Generator) -> list[Candidate]:
        """The winners of ``count`` tournaments."""
        size = min(self._settings.tournament, len(population))
        return [self._winner([population[i] for i in rng.choice(len(population), size, replace=False)]) for _ in range(count)]

    def _winner(self, entrants: Sequence[Member]) -> Candidate:
        if len(self._log) == 1 or len(entrants) == 1:
            return min(entrants, key=lambda member: member.row).candidate
        order = best_first([member.row for member in entrants], self._resolutions, log=self._log)
        return entrants[int(order[0])].candidate

    def survivors(self, population: Sequence[Member]) -> list[Member]:
        """The newest."""
        return list(population[-self._settings.population :])
