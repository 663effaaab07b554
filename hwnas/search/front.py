"""The front of whatever finished: of a search, or of all that a run holds."""

from collections.abc import Sequence

from hwnas.candidate import Outcome
from hwnas.objective import Objective, compared
from hwnas.pareto import Resolution, front


def front_of(outcomes: Sequence[Outcome], objectives: Sequence[Objective]) -> tuple[str, ...]:
    """Ids of the front among the finished ones, best error first: values as the outcomes hold them, compared with the
    objectives' resolutions (DESIGN.md, idea 7)."""
    finished = [outcome for outcome in outcomes if outcome.status == "finished"]
    if not finished:
        return ()
    return front(
        [outcome.candidate_id for outcome in finished],
        [compared(outcome.values, objectives) for outcome in finished],
        [(outcome.values["error"], outcome.values["parameters"]) for outcome in finished],
        [Resolution(size=objective.resolution, relative=objective.relative) for objective in objectives],
    )
