"""The front of whatever finished: of a search, or of all that a run holds."""

from collections.abc import Sequence

from hwnas.candidate import Outcome
from hwnas.errors import StoreError
from hwnas.objective import Objective, comparison_row
from hwnas.pareto import Resolution, front


def check_measured(outcome: Outcome, objectives: Sequence[Objective]) -> None:
    """Raise StoreError where an outcome that is finished lacks a value of these objectives, or its size."""
    missing = [name for name in (*(objective.name for objective in objectives), "parameters") if name not in outcome.values]
    if missing:
        raise StoreError(f"the outcome of {outcome.candidate_id} is damaged: it has no {missing[0]}; restore it from a backup")


def front_of(outcomes: Sequence[Outcome], objectives: Sequence[Objective]) -> tuple[str, ...]:
    """Ids of the front among the finished ones, best error first: values as the outcomes hold them, compared with the
    objectives' resolutions (DESIGN.md, idea 7)."""
    finished = [outcome for outcome in outcomes if outcome.status == "finished"]
    if not finished:
        return ()
    for outcome in finished:
        check_measured(outcome, objectives)
    return front(
        [outcome.candidate_id for outcome in finished],
        [comparison_row(outcome.values, objectives) for outcome in finished],
        [(outcome.values["error"], outcome.values["parameters"]) for outcome in finished],
        [Resolution(size=objective.resolution, relative=objective.relative) for objective in objectives],
    )
