"""What a strategy promises: candidates that can be tried, within the limits, and the same ones whenever it is asked again."""

import math
from collections.abc import Mapping, Sequence

from hwnas.candidate import Candidate, Failure, Outcome
from hwnas.graph import Graph, cost
from hwnas.objective import Limit
from hwnas.objectives import limit_on, objectives_named
from hwnas.search import Guarded, Problem, Strategy, StrategySettings, strategy_of, table_of
from hwnas.testing.promise import promise, sample_graphs

GENERATIONS = 4
OBJECTIVES = ("error", "parameters", "macs")
FAILS = 5  # one candidate in so many fails


def check_strategy(settings: str | StrategySettings) -> None:
    """Check a strategy, given as its name, as a reference to the class of its settings, or as settings.

    1. A later process finds it again, with its settings.
    2. Candidates are of the generation at work, in slots from 0, children of candidates that finished and whose weights it said
       it needed; they are within the limits, and none is tried again that was tried successfully.
    3. Where it is asked or adopts the same answers, and is told the same, it asks the same again.
    4. Its front is made of what finished.
    5. It bears failures, and an ask for a few at a time.
    """
    found = strategy_of(settings)
    promise(strategy_of(table_of(found)) == found, "the settings are not those that their section [strategy] gives")  # 1.
    promise(found.children >= 1, f"a generation must have at least 1 child, got {found.children}")
    sizes = sorted(float(cost(graph).parameters) for graph in sample_graphs())
    for limits in ((), (limit_on("parameters", sizes[len(sizes) // 2]),)):
        for count in (None, 2):
            _Check(found, limits, count).run()


class _Check:
    """One search on made-up outcomes."""

    def __init__(self, settings: StrategySettings, limits: tuple[Limit, ...], count: int | None) -> None:
        self._limits = limits
        self._count = count
        self._finished: set[str] = set()
        self._tried: set[str] = set()  # identities of those that finished
        self._first, self._second = (
            Guarded(
                settings,
                Problem(
                    objectives=objectives_named(OBJECTIVES),
                    limits=limits,
                    initial=tuple(sample_graphs()),
                    cheap=_cheap,
                    seed=3,
                ),
            )
            for _ in range(2)
        )

    def run(self) -> None:
        """Ask, check and tell, generation by generation; the second one adopts every other answer."""
        for generation in range(GENERATIONS):
            needed = set(self._first.needed)
            candidates = self._first.ask(self._count if generation else None).candidates
            self._check(candidates, generation, needed)
            if generation % 2:
                self._second.adopt(candidates)
            else:
                again = self._second.ask(self._count if generation else None).candidates
                same = list(map(_described, again)) == list(map(_described, candidates))
                promise(same, "asked again it gave another answer")  # 3.
            for candidate in candidates:
                self._tell(candidate)
            self._check_front(self._first)

    def _check(self, candidates: tuple[Candidate, ...], generation: int, needed: set[str]) -> None:
        where = f"generation {generation}"
        places = [(each.generation, each.slot) for each in candidates]
        promise(places == [(generation, slot) for slot in range(len(candidates))], f"{where} has candidates {places}")  # 2.
        promise(bool(candidates) or generation > 0, "the first ask gave nothing")
        if self._count is not None and generation:
            promise(len(candidates) <= self._count, f"{where}: asked for {self._count}, got {len(candidates)}")  # 5.
        for each in candidates:
            promise(set(each.parents) <= self._finished, f"{each.id} has parents {each.parents}, not all of which finished")
            promise(set(each.parents) <= needed, f"{each.id} has parents {each.parents}, which were not `needed`")
            promise(each.identity not in self._tried, f"{each.id} was tried successfully before")
            values = _cheap([each.graph])[0]
            promise(all(limit.allows(values[limit.objective]) for limit in self._limits), f"{each.id} is over a limit")

    def _tell(self, candidate: Candidate) -> None:
        outcome = _outcome(candidate)
        if outcome.status == "finished":
            self._finished.add(candidate.id)
            self._tried.add(candidate.identity)
        self._first.tell(outcome)
        self._second.tell(outcome)

    def _check_front(self, strategy: Strategy) -> None:
        front = strategy.front
        promise(set(front) <= self._finished and bool(front), f"the front {front} is not made of what finished")  # 4.
        promise(set(strategy.needed) <= self._finished, "it needs weights of candidates that did not finish")


def _cheap(graphs: Sequence[Graph]) -> list[Mapping[str, float]]:
    return [{"parameters": float(cost(graph).parameters), "macs": float(cost(graph).macs)} for graph in graphs]


def _outcome(candidate: Candidate) -> Outcome:
    """One that the network alone decides: larger ones are better, and one in ``FAILS`` fails."""
    chance = int(candidate.architecture_id, 16)
    if candidate.parents and chance % FAILS == 0:
        return Outcome(candidate_id=candidate.id, status="failed", failure=Failure(kind="diverged", message="made up"))
    values = _cheap([candidate.graph])[0]
    error = 1 / (1 + math.log10(values["parameters"])) + chance % 1000 / 1e5
    return Outcome(candidate_id=candidate.id, status="finished", values={"error": error, **values}, weights="none")


def _described(candidate: Candidate) -> tuple[object, ...]:
    return candidate.id, candidate.parents, candidate.operator, candidate.identity
