"""Pareto-NASH: LEMONADE's predecessor, which compares networks by error and parameters alone [Elsken2019, first version; from
memory].

It is LEMONADE with these two objectives, whatever else the run measures: the front that it draws parents from and the density
that it draws them by. The run's own front holds what is best in all its objectives.
"""

from dataclasses import dataclass, replace

from hwnas.errors import ConfigError
from hwnas.search.lemonade import Lemonade, LemonadeSettings
from hwnas.search.strategy import Problem

COMPARED = ("error", "parameters")


@dataclass(frozen=True, slots=True, kw_only=True)
class ParetoNashSettings(LemonadeSettings):
    """Those of ``LemonadeSettings``."""

    def begin(self, problem: Problem) -> Lemonade:
        """The strategy at its beginning. Raises ConfigError where error or parameters are no objective."""
        compared = tuple(each for each in problem.objectives if each.name in COMPARED)
        if len(compared) < len(COMPARED):
            names = ", ".join(each.name for each in problem.objectives)
            raise ConfigError(f"pareto-nash compares error and parameters, and the objectives are {names}: add what is missing")
        return Lemonade(self, replace(problem, objectives=compared))
