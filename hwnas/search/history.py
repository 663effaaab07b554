"""What a strategy knows: every candidate asked for, what came of it, and the archive over those that finished."""

from collections import Counter
from collections.abc import Mapping, Sequence

from hwnas.candidate import Candidate, Outcome
from hwnas.errors import WorkError
from hwnas.objective import Limit, Objective, comparison_row
from hwnas.pareto import AddReport, ParetoArchive, Resolution
from hwnas.search.front import check_measured

TRIES = 2  # what failed may be tried once more


class History:
    """Candidates, outcomes and the Pareto archive of a run, the same whatever the order of the outcomes."""

    def __init__(self, objectives: Sequence[Objective], limits: Sequence[Limit] = ()) -> None:
        self.objectives = tuple(objectives)
        self._limits = tuple(limits)
        self.generation = 0
        self._archive = ParetoArchive([Resolution(size=o.resolution, relative=o.relative) for o in objectives])
        # Graphs are kept of those that may still be parents only: a long run tries many.
        self._members: dict[str, Candidate] = {}
        self._waiting: dict[str, Candidate] = {}
        self._settled: set[str] = set()
        self._networks: set[str] = set()
        self._failures: Counter[str] = Counter()

    @property
    def front(self) -> tuple[str, ...]:
        """Ids of the archive's members, best error first."""
        return self._archive.ids

    def members(self) -> tuple[Candidate, ...]:
        """The archive's members, best error first."""
        return tuple(self._members[candidate_id] for candidate_id in self.front)

    def is_known(self, identity: str) -> bool:
        """Whether a candidate of this identity was tried successfully, is over a limit, is being tried, or failed twice.

        One that was infeasible on another device, and has no value here that breaks a limit, is not known.
        """
        return identity in self._settled or self._failures[identity] >= TRIES

    def is_known_network(self, architecture_id: str) -> bool:
        """As ``is_known``, of a network with whatever training settings."""
        return architecture_id in self._networks or self._failures[architecture_id] >= TRIES

    def adopt(self, candidates: Sequence[Candidate]) -> None:
        """Count the generation and expect an outcome for each of its candidates."""
        for candidate in candidates:
            if candidate.generation != self.generation or candidate.id in self._waiting:
                raise WorkError(f"expected new candidates of generation {self.generation}, got {candidate.id}")
            self._waiting[candidate.id] = candidate
            self._settled.add(candidate.identity)
            self._networks.add(candidate.architecture_id)
        self.generation += 1

    def tell(self, outcome: Outcome) -> AddReport | None:
        """Take an outcome in. Raises WorkError for a candidate that was never asked for or was told already."""
        candidate = self._waiting.pop(outcome.candidate_id, None)
        if candidate is None:
            raise WorkError(f"{outcome.candidate_id} was told already or never asked for")
        if outcome.status == "failed":
            self._failures.update({candidate.identity, candidate.architecture_id})
        if outcome.status in ("failed", "unfinished") or (outcome.status == "infeasible" and not self._is_over(outcome.values)):
            self._settled.discard(candidate.identity)
            self._networks.discard(candidate.architecture_id)
        if outcome.status != "finished":
            return None
        check_measured(outcome, self.objectives)
        tie = (outcome.values["error"], outcome.values["parameters"])
        report = self._archive.add(candidate.id, comparison_row(outcome.values, self.objectives), tie)
        if report.accepted:
            self._members[candidate.id] = candidate
        for removed in report.removed:
            del self._members[removed]
        return report

    def _is_over(self, values: Mapping[str, float]) -> bool:
        """Whether the values that are known break a limit."""
        return broken_limit(self._limits, values) is not None


def broken_limit(limits: Sequence[Limit], values: Mapping[str, float]) -> Limit | None:
    """The first limit that the values break; one on what is not known yet is not broken."""
    return next((each for each in limits if each.objective in values and not each.allows(values[each.objective])), None)
