"""LEMONADE: Lamarckian evolution for multi-objective architecture search [Elsken2019, algorithm 1, after secondary sources].

1. The population P is the Pareto front [Elsken2019]; it starts with trivial networks, trained from scratch, or (our addition)
   with networks that the user brings with their weights.
2. A kernel density estimate is fitted once a generation to the cheap objectives of P.
3. ``proposals`` parents are drawn from P with replacement, with probability inverse to their density.
4. Each gets a child by one to three operators, each drawn uniformly.
5. ``accepted`` of the children are drawn without replacement, with probability inverse to the same density (from memory, not
   verified: that the density is not fitted again to the children).
6. These are trained, and P becomes the front of P and them.

Our additions: children whose architecture is known, or whose cheap values break a limit, are dropped before step 5; parents are
drawn again where every child is known; densities of parents and children look at the predicted latency and, where the run is
steered by it, at the predicted expected change alike; where nothing
proposed keeps within the limits, the networks nearest to them are shrunk (see `shrink`). The number of operators is uniform in
one to three, and an operator without a site is drawn again (our choices). Activations are bounded where that is asked for: it
costs accuracy, and only the expected change sees what it is worth. A proposal for which an operator raises an exception is
dropped, and the ask reports it.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from pydantic import ConfigDict

from hwnas.candidate import Candidate, Outcome, stream_seed
from hwnas.errors import ConfigError
from hwnas.graph import Graph, architecture_id
from hwnas.morphism.bound import BoundActivations, bounded
from hwnas.objective import Objective
from hwnas.pareto import AddReport, Density, inverse_density_probabilities, sample
from hwnas.search.proposals import Proposal, Proposals
from hwnas.search.strategy import Ask, Problem

DRAWS = 16  # how often parents are drawn before a generation in which every child is known ends the search


@dataclass(frozen=True, slots=True, kw_only=True)
class LemonadeSettings:
    """Sizes of a generation. ``density`` uniform and ``inherit`` false (children from scratch) are ablations, as the paper has
    them (from memory). ``bound_activations``, against bit flips: that operator is among those drawn, and the search begins with
    bounded initial networks, too."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    proposals: int = 64
    accepted: int = 8
    max_operators: int = 3
    density: Literal["kernel", "uniform"] = "kernel"
    inherit: bool = True
    bound_activations: bool = False

    def __post_init__(self) -> None:
        if min(self.proposals, self.accepted, self.max_operators) < 1 or self.accepted > self.proposals:
            raise ConfigError(
                "lemonade needs at least 1 proposal, 1 accepted child (no more than the proposals) and 1 operator, got "
                f"proposals={self.proposals}, accepted={self.accepted}, max_operators={self.max_operators}"
            )

    @property
    def children(self) -> int:
        """How many children a generation has."""
        return self.accepted

    @property
    def inherits(self) -> bool:
        """Whether children begin with their parents' weights."""
        return self.inherit

    def begin(self, problem: Problem) -> "Lemonade":
        """The strategy at its beginning."""
        return Lemonade(self, problem)


class Lemonade:
    """The strategy; its state is a History and can be rebuilt by adopting and telling again."""

    def __init__(self, settings: LemonadeSettings, problem: Problem) -> None:
        self._settings = settings
        self._problem = _with_bounds(problem) if settings.bound_activations else problem
        self._proposals = Proposals(self._problem, inherits=settings.inherit)
        self._steering = [objective for objective in problem.objectives if objective.cheap or objective.predicted]

    @property
    def front(self) -> tuple[str, ...]:
        """Ids of the Pareto front so far, best error first."""
        return self._proposals.history.front

    @property
    def needed(self) -> frozenset[str]:
        """Parents are drawn from the front alone."""
        return frozenset(self.front)

    def adopt(self, candidates: Sequence[Candidate]) -> None:
        """Take these as the answer to the next ask."""
        self._proposals.adopt(candidates)

    def tell(self, outcome: Outcome) -> AddReport | None:
        """What came of a candidate; reports what the archive did with a finished one."""
        return self._proposals.tell(outcome)

    def ask(self, count: int | None = None) -> Ask:
        """Generation 0 is the initial networks; each later one is steps 2 to 5 above.

        With a ``count`` this is our steady-state form: that many children are accepted, of as many proposals for each as in a
        whole generation (``proposals`` / ``accepted``), and P is the front of what was told so far.
        """
        is_first = self._proposals.history.generation == 0 or not self.front
        return self._proposals.answer(self._proposals.first() if is_first else self._next(count or self._settings.accepted))

    def _next(self, accepted: int) -> Ask:
        asked = math.ceil(self._settings.proposals * accepted / self._settings.accepted)
        rng = np.random.default_rng(stream_seed(self._problem.seed, "ask", self._proposals.history.generation))
        members = self._proposals.history.members()
        cheap = self._problem.cheap([member.graph for member in members])
        steering = [objective for objective in self._steering if all(objective.name in values for values in cheap)]
        logarithmic = [*(objective.log_scale for objective in steering), False]
        density = Density.fit(_rows(cheap, steering), log=logarithmic)  # 2.
        proposed = duplicates = 0
        for _ in range(DRAWS):
            parents = sample(self._probabilities(density.fitted), asked, replace=True, rng=rng)  # 3.
            drawn = [members[i] for i in parents]
            proposals, known, over = self._proposals.children(drawn, self._settings.max_operators, rng)  # 4.
            proposed, duplicates = proposed + len(parents), duplicates + known
            if proposals or over:
                break
        nearest = None
        if not proposals and over:
            walks, nearest = self._proposals.shrunk([member.graph for member in members], accepted, rng)
            plans = self._proposals.plans
            proposals = [Proposal(parent=members[i], steps=plans(walk.steps), cheap=walk.values) for i, walk in walks]
        chosen: Sequence[int] = ()
        if proposals:
            densities = density.evaluate(_rows([proposal.cheap for proposal in proposals], steering))
            weights = self._probabilities(densities)  # 5.
            chosen = sample(weights, accepted, replace=False, rng=rng).tolist()
        return Ask(
            candidates=self._proposals.candidates([proposals[index] for index in chosen]),
            proposed=proposed,
            duplicates=duplicates,
            over_limit=over,
            nearest=nearest,
        )

    def _probabilities(self, densities: np.ndarray) -> np.ndarray:
        if self._settings.density == "uniform":
            return np.full(len(densities), 1 / len(densities))
        return inverse_density_probabilities(densities)


def _rows(cheap: Sequence[Mapping[str, float]], steering: Sequence[Objective]) -> list[list[float]]:
    """(n, m + 1) values; the last is the same of all and changes no density. Where nothing steers it is the only one, and all are
    drawn alike."""
    return [[*(values[objective.name] for objective in steering), 0.0] for values in cheap]


def _with_bounds(problem: Problem) -> Problem:
    """The problem with the operator that bounds activations, and with each initial network bounded, too."""
    operator = BoundActivations()
    graphs = (each for graph in problem.initial for each in (graph, bounded(graph, min(operator.bounds))))
    initial: dict[str, Graph] = {architecture_id(graph): graph for graph in graphs}
    operators = (*problem.operators, *([] if operator.name in {each.name for each in problem.operators} else [operator]))
    return replace(problem, initial=tuple(initial.values()), operators=operators)
