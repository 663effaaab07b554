"""The steady-state search loop (``--async``): propose as soon as a worker is free, tell in the order of completion.

1. The first ask gives the initial networks, every later one as many children as there is room for: one in training for each
   worker, and one that waits for it (eight at most), so that no worker idles while the next child is asked for and prepared.
2. A child is measured as soon as it was asked for; on a device that is another machine, while the workers train. Where
   measuring wants this machine for itself, it is held back until those in training end: so a whole generation is asked for
   and measured at once there, and the workers are fed from it.
3. Each outcome is stored the moment it is known, and told at once. What is told never waits for another candidate.

How many outcomes were told before an ask is stored with it, and outcomes are stored in their order. So a resumed run replays
every ask and outcome where it stood; then it first trains what was in training when the last session ended.

A generation, in ``--generations`` and in what is reported, is as many candidates as one of the generational search has: the
initial networks, then the strategy's ``children`` each time. Ids are g<ask>-<slot>.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from hwnas.candidate import Candidate, Outcome
from hwnas.experiment.evaluator import Measured
from hwnas.experiment.session import Ended, Session, generations_done

MOST_AHEAD = 8  # children that wait for a worker: each is proposed without what those before it will teach


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """What is read of an event ``ask``: how many outcomes were told before it."""

    told: int


def search_steadily(session: Session) -> Ended:
    """Replay what is stored, then search until the budget ends."""
    return SteadyState(session).run()


class SteadyState:
    """Where the candidates of a steady-state search are: asked for, measured, in training (the evaluator has those), told."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._evaluator = session.evaluator
        self._accepted = session.context.strategy_settings.children
        self._asks = 0
        self._children = 0
        self._told = 0
        self._starts: list[Candidate] = []  # the initial networks
        self._last: list[Candidate] = []  # of the last ask
        self._fruitless_at: int | None = None  # how many had been told when an ask found nothing new
        self._asked: deque[Candidate] = deque()
        self._untold: dict[str, Candidate] = {}
        self._measured: list[Measured] = []
        self._unreported: list[Candidate] = []  # measured, and how well that was predicted not kept yet
        self._reports = 0

    def run(self) -> Ended:
        """Replay, then search until the budget ends or nothing new is found."""
        self._replay()
        while (reason := self._end()) is None:
            worked = self._prepare() or self._ask()
            for outcome in self._evaluator.collect(0.0 if worked else self._session.wait_s()):
                self._tell(outcome)
            self._session.tidy()
            self._session.interrupt.check()
        self._leave()
        return self._session.ended(reason)

    def _replay(self) -> None:
        session = self._session
        stored = session.restore()
        outcomes = deque(self._evaluator.outcomes.values())
        for event in session.store.events("ask", _Asked):
            while self._told < event.payload.told:
                self._tell(outcomes.popleft())
            candidates = stored.pop(self._asks, [])  # let go: a long run has many
            session.strategy.adopt(candidates)
            self._adopt(candidates)
            for candidate in candidates:
                if candidate.id in self._evaluator.outcomes:
                    self._measure(candidate)  # it is stored: the predictor learns it where it did
        while outcomes:
            self._tell(outcomes.popleft())

    def _end(self) -> str | None:
        """Why the search ends now; None while it continues."""
        if self._waiting == 0 and self._asks:
            if self._last:
                self._refuse_no_start()
            most = self._session.context.config.budget.generations
            if most is not None and self._children >= most * self._accepted:
                return generations_done(most)
            if self._fruitless_at == self._told:
                return self._session.exhausted()
        return self._session.used_up()

    @property
    def _waiting(self) -> int:
        """How many candidates have no outcome yet."""
        return len(self._asked) + len(self._measured) + self._evaluator.training

    @property
    def _capacity(self) -> int:
        workers = self._session.executor.workers
        return workers + min(workers, MOST_AHEAD)

    def _prepare(self) -> bool:
        """Measure the next candidate and hand over what need not wait for others; False where it must wait, or there is none."""
        here, training = self._evaluator.measures_here, self._evaluator.training
        if not self._asked or training >= (1 if here else self._capacity) or self._session.room == len(self._measured):
            return False
        self._evaluator.warm_up()
        found = self._measure(self._asked.popleft())
        if isinstance(found, Outcome):
            self._tell(found)
        else:
            self._measured.append(found)
        if here:
            generation, _, _ = self._place(self._told + 1)
            done = len(self._last) - len(self._asked)
            self._session.report("measuring", generation=generation, done=done, total=len(self._last))
        if not (here and self._asked) or self._session.room == len(self._measured):  # a failed measurement took room
            self._evaluator.submit(self._measured)
            self._measured.clear()
        return True

    def _ask(self) -> bool:
        """Ask for as many candidates as there is room for; False where there is none, or nothing new to ask with."""
        wanted = self._wanted()
        if wanted <= 0 or self._fruitless_at == self._told or (self._waiting and not self._session.front):
            return False
        self._adopt(self._session.ask(self._asks, wanted))
        return True

    def _wanted(self) -> int:
        """How many candidates the workers, and the budget, have room for."""
        if self._evaluator.measures_here:
            wanted = 0 if self._waiting else max(self._accepted, self._capacity)
        else:
            wanted = self._capacity - self._waiting
        budget = self._session.context.config.budget
        if budget.max_evaluations is not None:
            wanted = min(wanted, budget.max_evaluations - self._evaluator.evaluations - self._waiting)
        if budget.generations is not None and self._asks:
            wanted = min(wanted, budget.generations * self._accepted - self._children)
        return wanted

    def _adopt(self, candidates: Sequence[Candidate]) -> None:
        """Take in what an ask gave."""
        self._asks += 1
        self._last = list(candidates)
        self._fruitless_at = None if candidates else self._told
        self._untold |= {candidate.id: candidate for candidate in candidates}
        self._asked.extend(each for each in candidates if each.id not in self._evaluator.outcomes)
        starts = [candidate for candidate in candidates if candidate.parent is None]
        self._starts += starts
        self._children += len(candidates) - len(starts)

    def _measure(self, candidate: Candidate) -> Measured | Outcome:
        found = self._evaluator.measure(candidate)
        latencies = self._session.latencies
        if latencies is not None and self._evaluator.is_measured(candidate):
            self._unreported.append(candidate)
            if len(self._unreported) >= (self._accepted if self._reports else len(self._starts)):
                latencies.report(self._reports, self._unreported)
                self._reports += 1
                self._unreported.clear()
        return found

    def _tell(self, outcome: Outcome) -> None:
        session, known = self._session, self._evaluator.outcomes
        session.tell(self._untold.pop(outcome.candidate_id), outcome)
        self._told += 1
        if all(start.id in known for start in self._starts):
            session.lay_hypervolume_box([known[start.id] for start in self._starts])
        generation, done, total = self._place(self._told)
        changes: dict[str, object] = {"generation": generation, "done": done, "total": total, "front_size": len(session.front)}
        if done == total:
            session.summarise(generation)
            changes["hypervolume"] = session.hypervolume()
        session.report("training", **changes)

    def _place(self, told: int) -> tuple[int, int, int]:
        """The generation that an outcome is counted in, its place there from 1, and how many that generation has."""
        first = len(self._starts)
        if told <= first:
            return 0, told, first
        generation, place = divmod(told - first - 1, self._accepted)
        return 1 + generation, 1 + place, self._accepted

    def _leave(self) -> None:
        """The budget is over: what has no outcome stays unfinished."""
        self._evaluator.cancel()
        for candidate in (*self._asked, *(each.candidate for each in self._measured)):
            self._evaluator.leave(candidate.id)
        self._refuse_no_start()

    def _refuse_no_start(self) -> None:
        known = self._evaluator.outcomes
        self._session.refuse_no_start([known[each.id] for each in self._last if each.id in known])
