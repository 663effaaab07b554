"""What a search strategy is: it proposes candidates and is told what came of them."""

import traceback
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Protocol, Self, TypeAlias

from hwnas.candidate import Candidate, Outcome, Step
from hwnas.errors import OperatorError
from hwnas.graph import Graph
from hwnas.morphism import Operator
from hwnas.morphism.catalogue import operators_named
from hwnas.objective import Limit, Objective
from hwnas.pareto import AddReport
from hwnas.search.tuning import TunedSetting

CheapValues: TypeAlias = Callable[[Sequence[Graph]], Sequence[Mapping[str, float]]]
"""Every cheap objective of each graph; latency as predicted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorFailure:
    """An operator that raised an exception, for which a proposal was dropped; ``traceback`` shows where."""

    operator: str
    message: str
    traceback: str

    @classmethod
    def of(cls, error: OperatorError) -> Self:
        """What an error says."""
        return cls(operator=error.operator, message=error.message, traceback="".join(traceback.format_exception(error)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What one ask gave: the accepted candidates, and how many proposals were made, known already, or over which limit.

    ``failures``: the proposals among them, or steps towards the limits, that were dropped because an operator failed.
    ``nearest``: where nothing was found within the limits, the values of the network that came nearest.
    """

    candidates: tuple[Candidate, ...]
    proposed: int
    duplicates: int
    over_limit: Mapping[str, int]
    nearest: Mapping[str, float] | None = None
    failures: tuple[OperatorFailure, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """What a strategy is to solve: what is minimised within which limits, and which networks it begins with.

    ``starts``: the first steps of networks that bring their weights (as ``Candidate`` says), beside the ``initial`` ones.
    ``operators`` are those that children are made by, all of hwnas's by default; ``cheap`` gives the cheap values of graphs, as a
    proposal needs them; ``seed`` is the run's, from which every random stream is derived. ``tuned`` are the training settings
    that candidates carry, none where all are trained alike.
    """

    objectives: tuple[Objective, ...]
    limits: tuple[Limit, ...] = ()
    initial: tuple[Graph, ...]
    starts: tuple[Step, ...] = ()
    operators: tuple[Operator, ...] = field(default_factory=operators_named)
    cheap: CheapValues
    seed: int
    tuned: tuple[TunedSetting, ...] = ()


class Strategy(Protocol):
    """Ask and tell; a strategy never trains, measures, writes or prints.

    Generation by generation, or (steady state) a few candidates at a time, each told when it is done: every ask counts as a
    generation then, and what is asked depends on the asks and outcomes before it alone. ``adopt`` makes a stored answer the
    strategy's own in place of asking for it, which is how a run is replayed.
    """

    def ask(self, count: int | None = None) -> Ask:
        """The next candidates: a whole generation, or at most ``count``; none where the space is exhausted.

        The first ask gives all initial networks, and so does every one after it until there is a front.
        """

    def adopt(self, candidates: Sequence[Candidate]) -> None:
        """Take these as the answer to the next ask."""

    def tell(self, outcome: Outcome) -> AddReport | None:
        """What came of a candidate, told once; reports what the archive did with a finished one."""

    @property
    def front(self) -> tuple[str, ...]:
        """Ids of the Pareto front so far, best error first."""

    @property
    def needed(self) -> Set[str]:
        """Ids of the candidates whose weights later asks may need, as parents; with ``--keep front`` the others are deleted."""


class StrategySettings(Protocol):
    """What names a strategy in a configuration: a frozen dataclass of its settings, all with defaults, that begins the strategy.

    Its fields are those of the section ``[strategy]``.
    """

    @property
    def children(self) -> int:
        """How many children a generation has."""

    @property
    def inherits(self) -> bool:
        """Whether children begin with their parents' weights; those that only come near to their function are then distilled."""

    def begin(self, problem: Problem) -> Strategy:
        """The strategy at its beginning."""
