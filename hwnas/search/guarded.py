"""A strategy whose exceptions name it: it may be a user's own, and a run ends cleanly where it fails."""

from collections.abc import Callable, Sequence, Set
from typing import TypeVar

from hwnas.candidate import Candidate, Outcome
from hwnas.errors import HwnasError, StrategyError
from hwnas.pareto import AddReport
from hwnas.search.strategy import Ask, Problem, Strategy, StrategySettings

T = TypeVar("T")


class Guarded:
    """The strategy of these settings; whatever it raises is a StrategyError."""

    def __init__(self, settings: StrategySettings, problem: Problem) -> None:
        self._name = type(settings).__name__
        self._strategy: Strategy = self._named(lambda: settings.begin(problem))

    def ask(self, count: int | None = None) -> Ask:
        """The next candidates."""
        return self._named(lambda: self._strategy.ask(count))

    def adopt(self, candidates: Sequence[Candidate]) -> None:
        """Take these as the answer to the next ask."""
        self._named(lambda: self._strategy.adopt(candidates))

    def tell(self, outcome: Outcome) -> AddReport | None:
        """What came of a candidate."""
        return self._named(lambda: self._strategy.tell(outcome))

    @property
    def front(self) -> tuple[str, ...]:
        """Ids of the Pareto front so far, best error first."""
        return self._named(lambda: self._strategy.front)

    @property
    def needed(self) -> Set[str]:
        """Ids of the candidates whose weights later asks may need."""
        return self._named(lambda: self._strategy.needed)

    def _named(self, work: Callable[[], T]) -> T:
        try:
            return work()
        except HwnasError:
            raise
        except Exception as error:  # strategies may be a user's own, which can raise anything
            raise StrategyError(f"the strategy {self._name} failed: {type(error).__name__}: {error}") from error
