"""What every strategy does on its way to an answer: initial networks, children by operators, limits, and the way back to them.

Children whose architecture is known, or whose cheap values break a limit, are dropped; a proposal for which an operator raises an
exception is dropped, and the ask reports it.
"""

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hwnas.candidate import Candidate, Outcome, Step, identity_of, stream_seed
from hwnas.errors import OperatorError
from hwnas.graph import Graph, architecture_id
from hwnas.morphism.catalogue import morph
from hwnas.morphism.from_scratch import from_scratch
from hwnas.pareto import AddReport
from hwnas.search.history import History, broken_limit
from hwnas.search.shrink import Walk, distance, shrink
from hwnas.search.strategy import Ask, OperatorFailure, Problem
from hwnas.search.tuning import inherited_settings, initial_settings

INITIAL = "initial"


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """A network that may become a candidate: its parent, the steps from there, its cheap values.

    ``training``: the training settings that it carries; None: its parent's.
    """

    parent: Candidate | None
    steps: tuple[Step, ...]
    cheap: Mapping[str, float]
    training: Mapping[str, float | str] | None = None

    @property
    def carried(self) -> Mapping[str, float | str]:
        """The training settings that the candidate will carry."""
        if self.training is not None:
            return self.training
        return {} if self.parent is None else self.parent.training

    @property
    def identity(self) -> str:
        """The hash by which it is the same trial as another: see ``identity_of``."""
        return identity_of(self.steps[-1].graph, self.carried)


class Proposals:
    """Proposals for a problem, and the ``history`` that they are checked against."""

    def __init__(self, problem: Problem, *, inherits: bool = True) -> None:
        """``inherits``: children begin with their parents' weights."""
        self.problem = problem
        self.history = History(problem.objectives, problem.limits)
        self._inherits = inherits
        self._failures: list[OperatorFailure] = []  # of the ask at work

    def answer(self, ask: Ask) -> Ask:
        """An ask as the strategy gives it: its candidates are adopted, and the operators that failed on the way are named."""
        self.history.adopt(ask.candidates)
        failures, self._failures = tuple(self._failures), []
        return dataclasses.replace(ask, failures=failures)

    def adopt(self, candidates: Sequence[Candidate]) -> None:
        """Take these as the answer to the next ask."""
        self.history.adopt(candidates)

    def tell(self, outcome: Outcome) -> AddReport | None:
        """What came of a candidate; reports what the archive did with a finished one."""
        return self.history.tell(outcome)

    def note(self, error: OperatorError) -> None:
        """An operator failed, and what it was to propose is dropped: other operators, and other graphs, go on."""
        self._failures.append(OperatorFailure.of(error))

    def first(self) -> Ask:
        """The initial networks that are within the limits and not known; where none is, what shrinking them finds."""
        begins = (*self.problem.starts, *(_initial(graph) for graph in self.problem.initial))
        new = [step for step in begins if not self.history.is_known_network(architecture_id(step.graph))]
        over: Counter[str] = Counter()
        starts: list[Proposal] = []
        for step, values in zip(new, self.problem.cheap([step.graph for step in new]), strict=True):
            broken = broken_limit(self.problem.limits, values)
            if broken is None:
                starts.append(Proposal(parent=None, steps=(step,), cheap=values))
            else:
                over[broken.objective] += 1
        nearest = None
        if not starts and self.problem.limits:
            rng = np.random.default_rng(stream_seed(self.problem.seed, "shrink", self.history.generation))
            walks, nearest = self.shrunk([step.graph for step in begins], len(begins), rng)
            starts = [Proposal(parent=None, steps=_shrunk(begins[i], walk), cheap=walk.values) for i, walk in walks]
        settings = initial_settings(self.problem.tuned, len(starts), self.problem.seed, self.history.generation)
        starts = [dataclasses.replace(each, training=own) for each, own in zip(starts, settings, strict=True)]
        return Ask(candidates=self.candidates(starts), proposed=len(new), duplicates=0, over_limit=over, nearest=nearest)

    def children(
        self, parents: Sequence[Candidate], most: int, rng: np.random.Generator
    ) -> tuple[list[Proposal], int, Mapping[str, int]]:
        """Children of the parents, each by one to ``most`` operators, that are new and within the limits.

        Besides, how many were known, and how many broke which limit.

        A parent for which an operator fails has no child.
        """
        fresh: dict[str, Proposal] = {}
        duplicates = 0
        for parent in parents:
            try:
                steps = self._morph(parent.graph, most, rng)
            except OperatorError as error:
                self.note(error)
                continue
            training = inherited_settings(self.problem.tuned, parent.training, rng)
            child = Proposal(parent=parent, steps=steps, cheap={}, training=training) if steps else None
            if child is None or child.identity in fresh or self.history.is_known(child.identity):
                duplicates += 1
            else:
                fresh[child.identity] = child
        over: Counter[str] = Counter()
        proposals: list[Proposal] = []
        values = self.problem.cheap([child.steps[-1].graph for child in fresh.values()])
        for child, cheap in zip(fresh.values(), values, strict=True):
            broken = broken_limit(self.problem.limits, cheap)
            if broken is None:
                proposals.append(dataclasses.replace(child, cheap=cheap))
            else:
                over[broken.objective] += 1
        return proposals, duplicates, over

    def shrunk(
        self, graphs: Sequence[Graph], count: int, rng: np.random.Generator
    ) -> tuple[list[tuple[int, Walk]], Mapping[str, float] | None]:
        """Up to ``count`` walks from the graphs nearest to the limits that arrived, with the index of the graph that each
        began with; where none did, the values that came nearest."""
        values = self.problem.cheap(graphs)
        order = sorted(range(len(graphs)), key=lambda index: abs(distance(self.problem.limits, values[index]) - 1))
        found: dict[str, tuple[int, Walk]] = {}
        nearest: Mapping[str, float] | None = None

        def is_new(graph: Graph) -> bool:
            network = architecture_id(graph)
            return network not in found and not self.history.is_known_network(network)

        for index in order:
            walk = shrink(
                graphs[index],
                values[index],
                limits=self.problem.limits,
                cheap=self.problem.cheap,
                is_new=is_new,
                rng=rng,
                on_failure=self.note,
            )
            if walk.arrived and len(found) < count:
                found[architecture_id(walk.steps[-1].graph)] = (index, walk)
            elif nearest is None or distance(self.problem.limits, walk.values) < distance(self.problem.limits, nearest):
                nearest = walk.values
            if len(found) == count:
                break
        return list(found.values()), None if found else nearest

    def plans(self, steps: Sequence[Step]) -> tuple[Step, ...]:
        """The steps with their plans; without inheritance every tensor is made afresh."""
        if self._inherits:
            return tuple(steps)
        return tuple(dataclasses.replace(step, inheritance=from_scratch(step.graph)) for step in steps)

    def candidates(self, proposals: Sequence[Proposal]) -> tuple[Candidate, ...]:
        """The accepted ones as candidates of the generation at work."""
        return tuple(
            Candidate(
                generation=self.history.generation,
                slot=slot,
                parents=() if proposal.parent is None else (proposal.parent.id,),
                steps=proposal.steps,
                cheap=proposal.cheap,
                training=proposal.carried,
            )
            for slot, proposal in enumerate(proposals)
        )

    def _morph(self, graph: Graph, most: int, rng: np.random.Generator) -> tuple[Step, ...]:
        steps: list[Step] = []
        for _ in range(int(rng.integers(1, most + 1))):
            step = morph(graph, rng, self.problem.operators)
            if step is None:
                break
            operator, morphed = step
            graph = morphed.graph
            steps.append(Step(operator=operator, graph=graph, inheritance=morphed.inheritance))
        return self.plans(steps)


def _initial(graph: Graph) -> Step:
    return Step(operator=INITIAL, graph=graph, inheritance=from_scratch(graph))


def _shrunk(first: Step, walk: Walk) -> tuple[Step, ...]:
    """The steps of a first network that had to be shrunk: it inherits where it brought weights."""
    return (_initial(walk.steps[-1].graph),) if first.operator == INITIAL else (first, *walk.steps)
