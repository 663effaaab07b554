"""What strategies with a population share: children of selected parents by operators, and a population that is cut to its size.

Children are made as LEMONADE makes them (one to so many operators, each drawn uniformly; known networks and those over a limit
are dropped; where nothing proposed keeps within the limits, the networks nearest to them are shrunk). How parents are selected
and who stays is each strategy's own.
"""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pydantic import ConfigDict

from hwnas.candidate import Candidate, Outcome, stream_seed
from hwnas.errors import ConfigError
from hwnas.objective import comparison_row
from hwnas.pareto import AddReport
from hwnas.search.proposals import Proposal, Proposals
from hwnas.search.strategy import Ask, Problem

DRAWS = 16  # how often parents are selected before a generation in which every child is known ends the search


@dataclass(frozen=True, slots=True, kw_only=True)
class EvolutionSettings:
    """Sizes of a generation: how many children are accepted, and by how many operators each is made at most.

    ``inherit`` false: children are trained from scratch, an ablation.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    accepted: int = 8
    max_operators: int = 3
    inherit: bool = True

    def __post_init__(self) -> None:
        if min(self.accepted, self.max_operators) < 1:
            raise ConfigError(
                f"a strategy needs at least 1 accepted child and 1 operator, got accepted={self.accepted}, "
                f"max_operators={self.max_operators}"
            )

    @property
    def children(self) -> int:
        """How many children a generation has."""
        return self.accepted

    @property
    def inherits(self) -> bool:
        """Whether children begin with their parents' weights."""
        return self.inherit


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A finished candidate of the population, and the values by which it is compared."""

    candidate: Candidate
    row: tuple[float, ...]


class Evolution(ABC):
    """A strategy with a population; it can be rebuilt by adopting and telling again."""

    def __init__(self, settings: EvolutionSettings, problem: Problem) -> None:
        self._evolution = settings
        self.problem = problem
        self._proposals = Proposals(problem, inherits=settings.inherit)
        self._waiting: dict[str, Candidate] = {}
        self._population: list[Member] = []  # the oldest first

    @property
    def front(self) -> tuple[str, ...]:
        """Ids of the Pareto front of all that finished, best error first."""
        return self._proposals.history.front

    @property
    def needed(self) -> frozenset[str]:
        """Parents are of the population alone."""
        return frozenset(member.candidate.id for member in self._population)

    @abstractmethod
    def selected(self, population: Sequence[Member], count: int, rng: np.random.Generator) -> list[Candidate]:
        """``count`` parents, with repetition, of a population that is not empty."""

    @abstractmethod
    def survivors(self, population: Sequence[Member]) -> list[Member]:
        """Who stays in the population, the oldest first; one at least."""

    def adopt(self, candidates: Sequence[Candidate]) -> None:
        """Take these as the answer to the next ask."""
        self._proposals.adopt(candidates)
        self._waiting |= {each.id: each for each in candidates}

    def tell(self, outcome: Outcome) -> AddReport | None:
        """What came of a candidate; reports what the archive did with a finished one."""
        report = self._proposals.tell(outcome)
        candidate = self._waiting.pop(outcome.candidate_id)
        if outcome.status == "finished":
            row = tuple(comparison_row(outcome.values, self.problem.objectives))
            self._population = self.survivors([*self._population, Member(candidate=candidate, row=row)])
        return report

    def ask(self, count: int | None = None) -> Ask:
        """Generation 0 is the initial networks; each later one the children of selected parents."""
        is_first = self._proposals.history.generation == 0 or not self._population
        ask = self._proposals.answer(self._proposals.first() if is_first else self._next(count or self._evolution.accepted))
        self._waiting |= {each.id: each for each in ask.candidates}
        return ask

    def _next(self, wanted: int) -> Ask:
        rng = np.random.default_rng(stream_seed(self.problem.seed, "ask", self._proposals.history.generation))
        found: dict[str, Proposal] = {}
        over: Counter[str] = Counter()
        proposed = duplicates = 0
        for _ in range(DRAWS):
            parents = self.selected(self._population, wanted - len(found), rng)
            proposals, known, broken = self._proposals.children(parents, self._evolution.max_operators, rng)
            proposed, duplicates = proposed + len(parents), duplicates + known
            over.update(broken)
            for proposal in proposals:
                found.setdefault(proposal.identity, proposal)
            if len(found) == wanted:
                break
        children, nearest = list(found.values()), None
        if not children and over:
            members = [member.candidate for member in self._population]
            walks, nearest = self._proposals.shrunk([each.graph for each in members], wanted, rng)
            plans = self._proposals.plans
            children = [Proposal(parent=members[i], steps=plans(walk.steps), cheap=walk.values) for i, walk in walks]
        return Ask(
            candidates=self._proposals.candidates(children),
            proposed=proposed,
            duplicates=duplicates,
            over_limit=over,
            nearest=nearest,
        )
