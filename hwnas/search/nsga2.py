"""NSGA-II [Deb2002] by morphisms: binary tournaments by rank and crowding distance, survival of the best of parents and children.

Ranks, crowding and survival are pymoo's. There is no crossover: a child is its parent, changed by operators. Objectives that span
orders of magnitude are compared by their logarithms in the crowding distance (our choice); ranks do not depend on that.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hwnas.candidate import Candidate
from hwnas.errors import ConfigError
from hwnas.search.evolution import Evolution, EvolutionSettings, Member
from hwnas.search.strategy import Problem

if TYPE_CHECKING:
    from pymoo.core.population import Population

SMALLEST = 1e-12  # of a value whose logarithm is taken


@dataclass(frozen=True, slots=True, kw_only=True)
class Nsga2Settings(EvolutionSettings):
    """``population`` networks survive."""

    population: int = 16

    def __post_init__(self) -> None:
        EvolutionSettings.__post_init__(self)
        if self.population < 2:
            raise ConfigError(f"nsga2 needs a population of at least 2, got {self.population}")

    def begin(self, problem: Problem) -> "Nsga2":
        """The strategy at its beginning."""
        return Nsga2(self, problem)


class Nsga2(Evolution):
    """The strategy."""

    def __init__(self, settings: Nsga2Settings, problem: Problem) -> None:
        super().__init__(settings, problem)
        self._settings = settings
        self._log = np.array([each.log_scale for each in problem.objectives])

    def selected(self, population: Sequence[Member], count: int, rng: np.random.Generator) -> list[Candidate]:
        """The winners of binary tournaments: the lower rank, then the larger crowding distance."""
        ranked = self._survival(population, len(population))
        keys = {int(each.get("index")): (int(each.get("rank")), -float(each.get("crowding"))) for each in ranked}
        pairs = rng.integers(len(population), size=(count, 2)).tolist()
        return [population[min(pair, key=lambda index: (keys[index], index))].candidate for pair in pairs]

    def survivors(self, population: Sequence[Member]) -> list[Member]:
        """The best by rank, then by crowding distance, in the order of their age."""
        if len(population) <= self._settings.population:
            return list(population)
        kept = sorted(int(each.get("index")) for each in self._survival(population, self._settings.population))
        return [population[index] for index in kept]

    def _survival(self, population: Sequence[Member], count: int) -> "Population":
        """pymoo's survivors, with their ranks and crowding distances, each with its ``index`` in the population."""
        # pymoo takes longer to import than a front to print.
        from pymoo.core.population import Population
        from pymoo.core.problem import Problem as PymooProblem
        from pymoo.operators.survival.rank_and_crowding import RankAndCrowding

        rows = np.array([member.row for member in population], dtype=np.float64)
        rows[:, self._log] = np.log10(np.maximum(rows[:, self._log], SMALLEST))
        made = Population.new(X=rows, F=rows, index=np.arange(len(rows)))
        problem = PymooProblem(n_var=rows.shape[1], n_obj=rows.shape[1])
        return RankAndCrowding().do(problem, made, n_survive=count, random_state=np.random.default_rng(0))
