"""LEMONADE: Lamarckian evolution for multi-objective architecture search [Elsken2019, algorithm 1, after secondary sources].

1. The population P is the Pareto front [Elsken2019]; it starts with trivial networks, trained from scratch.
2. A kernel density estimate is fitted once a generation to the cheap objectives of P.
3. ``proposals`` parents are drawn from P with replacement, with probability inverse to their density.
4. Each gets a child by one to three operators, each drawn uniformly.
5. ``accepted`` of the children are drawn without replacement, with probability inverse to the same density (from memory, not
   verified: that the density is not fitted anew to the children).
6. These are trained, and P becomes the front of P and them.

Our additions: children whose architecture is known, or whose cheap values break a limit, are dropped before step 5; parents are
drawn again where every child is known; densities of parents and children look at predicted latency alike; where nothing
proposed keeps within the limits, the networks nearest to them are shrunk (see `shrink`). The number of operators is uniform in
one to three, and an operator without a site is drawn again (our choices). Activations are bounded where that is asked for: it
costs accuracy, and only the expected change sees what it is worth. A proposal for which an operator raises an exception is
dropped, and the ask reports it.
"""

import dataclasses
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hwnas.candidate import Candidate, Outcome, Step, identity_of, stream_seed
from hwnas.errors import OperatorError
from hwnas.graph import Graph
from hwnas.morphism.catalogue import AGAINST_FLIPS, OPERATORS, morph
from hwnas.morphism.fresh import from_scratch
from hwnas.objective import Limit, Objective
from hwnas.pareto import AddReport, Density, inverse_density_probabilities, sample
from hwnas.search.history import History, broken_limit
from hwnas.search.shrink import Walk, distance, shrink
from hwnas.search.strategy import Ask, CheapValues, OperatorFailure
from hwnas.settings import LemonadeSettings

DRAWS = 16  # how often parents are drawn before a generation in which every child is known ends the search


@dataclass(frozen=True, slots=True, kw_only=True)
class _Proposal:
    parent: Candidate | None
    steps: tuple[Step, ...]
    cheap: Mapping[str, float]


class Lemonade:
    """The strategy; its state is a History and can be rebuilt by adopting and telling again."""

    def __init__(
        self,
        *,
        settings: LemonadeSettings,
        objectives: Sequence[Objective],
        limits: Sequence[Limit],
        initial: Sequence[Graph],
        cheap: CheapValues,
        seed: int,
    ) -> None:
        self._settings = settings
        self._limits = tuple(limits)
        self._initial = tuple(initial)
        self._cheap = cheap
        self._cheap_objectives = [objective for objective in objectives if objective.cheap]
        self._logarithmic = [*(objective.size_like for objective in self._cheap_objectives), False]
        self._operators = tuple((AGAINST_FLIPS if settings.bound_activations else OPERATORS).values())
        self._seed = seed
        self._history = History(objectives, limits)
        self._failures: list[OperatorFailure] = []  # of the ask at work

    @property
    def front(self) -> tuple[str, ...]:
        """Ids of the Pareto front so far, best error first."""
        return self._history.front

    def adopt(self, candidates: Sequence[Candidate]) -> None:
        """Take these as the answer to the next ask."""
        self._history.adopt(candidates)

    def tell(self, outcome: Outcome) -> AddReport | None:
        """What came of a candidate; reports what the archive did with a finished one."""
        return self._history.tell(outcome)

    def ask(self, count: int | None = None) -> Ask:
        """Generation 0 is the initial networks; each later one is steps 2 to 5 above.

        With a ``count`` this is our steady-state form: that many children are accepted, of as many proposals for each as in a
        whole generation (``proposals`` / ``accepted``), and P is the front of what was told so far.
        """
        first = self._history.generation == 0 or not self._history.front
        self._failures.clear()
        ask = self._first() if first else self._next(count or self._settings.accepted)
        self._history.adopt(ask.candidates)
        return dataclasses.replace(ask, failures=tuple(self._failures))

    def _note(self, error: OperatorError) -> None:
        """An operator failed, and what it was to propose is dropped: other operators, and other graphs, go on."""
        self._failures.append(OperatorFailure.of(error))

    def _first(self) -> Ask:
        graphs = [graph for graph in self._initial if not self._history.is_known(identity_of(graph))]
        over: Counter[str] = Counter()
        starts: list[_Proposal] = []
        for graph, values in zip(graphs, self._cheap(graphs), strict=True):
            broken = broken_limit(self._limits, values)
            if broken is None:
                starts.append(_Proposal(parent=None, steps=_initial(graph), cheap=values))
            else:
                over[broken.objective] += 1
        nearest = None
        if not starts and self._limits:
            rng = np.random.default_rng(stream_seed(self._seed, "shrink", self._history.generation))
            walks, nearest = self._shrunk(self._initial, len(self._initial), rng)
            starts = [_Proposal(parent=None, steps=_initial(walk.steps[-1].graph), cheap=walk.values) for _, walk in walks]
        return Ask(candidates=self._candidates(starts), proposed=len(graphs), duplicates=0, over_limit=over, nearest=nearest)

    def _next(self, accepted: int) -> Ask:
        asked = math.ceil(self._settings.proposals * accepted / self._settings.accepted)
        rng = np.random.default_rng(stream_seed(self._seed, "ask", self._history.generation))
        members = self._history.members()
        cheap = self._cheap([member.graph for member in members])
        density = Density.fit(self._rows(cheap), log=self._logarithmic)  # 2.
        proposed = duplicates = 0
        for _ in range(DRAWS):
            parents = sample(self._probabilities(density.fitted), asked, replace=True, rng=rng)  # 3.
            proposals, known, over = self._propose([members[i] for i in parents], rng)  # 4.
            proposed, duplicates = proposed + len(parents), duplicates + known
            if proposals or over:
                break
        nearest = None
        if not proposals and over:
            walks, nearest = self._shrunk([member.graph for member in members], accepted, rng)
            proposals = [_Proposal(parent=members[i], steps=self._plans(walk.steps), cheap=walk.values) for i, walk in walks]
        chosen: Sequence[int] = ()
        if proposals:
            densities = density.evaluate(self._rows([proposal.cheap for proposal in proposals]))
            weights = self._probabilities(densities)  # 5.
            chosen = sample(weights, accepted, replace=False, rng=rng).tolist()
        return Ask(
            candidates=self._candidates([proposals[index] for index in chosen]),
            proposed=proposed,
            duplicates=duplicates,
            over_limit=over,
            nearest=nearest,
        )

    def _shrunk(
        self, graphs: Sequence[Graph], count: int, rng: np.random.Generator
    ) -> tuple[list[tuple[int, Walk]], Mapping[str, float] | None]:
        """Up to ``count`` walks from the graphs nearest to the limits that arrived, with the index of the graph that each
        began with; where none did, the values that came nearest."""
        values = self._cheap(graphs)
        order = sorted(range(len(graphs)), key=lambda index: abs(distance(self._limits, values[index]) - 1))
        found: dict[str, tuple[int, Walk]] = {}
        nearest: Mapping[str, float] | None = None

        def is_new(graph: Graph) -> bool:
            identity = identity_of(graph)
            return identity not in found and not self._history.is_known(identity)

        for index in order:
            walk = shrink(
                graphs[index],
                values[index],
                limits=self._limits,
                cheap=self._cheap,
                is_new=is_new,
                rng=rng,
                on_failure=self._note,
            )
            if walk.arrived and len(found) < count:
                found[identity_of(walk.steps[-1].graph)] = (index, walk)
            elif nearest is None or distance(self._limits, walk.values) < distance(self._limits, nearest):
                nearest = walk.values
            if len(found) == count:
                break
        return list(found.values()), None if found else nearest

    def _propose(self, parents: Sequence[Candidate], rng: np.random.Generator) -> tuple[list[_Proposal], int, Mapping[str, int]]:
        """Children of the parents that are new and within the limits; how many were known, and how many broke which limit.

        A parent for which an operator fails has no child.
        """
        fresh: dict[str, tuple[Candidate, tuple[Step, ...]]] = {}
        duplicates = 0
        for parent in parents:
            try:
                steps = self._morph(parent.graph, rng)
            except OperatorError as error:
                self._note(error)
                continue
            identity = identity_of(steps[-1].graph) if steps else None
            if identity is None or identity in fresh or self._history.is_known(identity):
                duplicates += 1
            else:
                fresh[identity] = (parent, steps)
        over: Counter[str] = Counter()
        proposals: list[_Proposal] = []
        values = self._cheap([steps[-1].graph for _, steps in fresh.values()])
        for (parent, steps), cheap in zip(fresh.values(), values, strict=True):
            broken = broken_limit(self._limits, cheap)
            if broken is None:
                proposals.append(_Proposal(parent=parent, steps=steps, cheap=cheap))
            else:
                over[broken.objective] += 1
        return proposals, duplicates, over

    def _morph(self, graph: Graph, rng: np.random.Generator) -> tuple[Step, ...]:
        steps: list[Step] = []
        for _ in range(int(rng.integers(1, self._settings.max_operators + 1))):
            step = morph(graph, rng, self._operators)
            if step is None:
                break
            operator, morphed = step
            graph = morphed.graph
            steps.append(Step(operator=operator, graph=graph, inheritance=morphed.inheritance))
        return self._plans(steps)

    def _plans(self, steps: Sequence[Step]) -> tuple[Step, ...]:
        if self._settings.inherit:
            return tuple(steps)
        return tuple(dataclasses.replace(step, inheritance=from_scratch(step.graph)) for step in steps)

    def _rows(self, cheap: Sequence[Mapping[str, float]]) -> list[list[float]]:
        """(n, m + 1) values; the last is the same of all and changes no density. Where no objective is cheap it is the only one,
        and all are drawn alike."""
        return [[*(values[objective.name] for objective in self._cheap_objectives), 0.0] for values in cheap]

    def _probabilities(self, densities: np.ndarray) -> np.ndarray:
        if self._settings.density == "uniform":
            return np.full(len(densities), 1 / len(densities))
        return inverse_density_probabilities(densities)

    def _candidates(self, proposals: Sequence[_Proposal]) -> tuple[Candidate, ...]:
        return tuple(
            Candidate(
                generation=self._history.generation,
                slot=slot,
                parents=() if proposal.parent is None else (proposal.parent.id,),
                steps=proposal.steps,
                cheap=proposal.cheap,
            )
            for slot, proposal in enumerate(proposals)
        )


def _initial(graph: Graph) -> tuple[Step, ...]:
    return (Step(operator="initial", graph=graph, inheritance=from_scratch(graph)),)
