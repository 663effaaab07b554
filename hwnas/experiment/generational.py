"""The generational search loop: ask, measure, train, store, tell; and the replay that a resumed run begins with.

For each generation:

1. The strategy is asked (or, on replay, adopts what is stored); its candidates are stored before anything is done with them.
2. Weights are transferred and ONNX is emitted; the candidates are measured in one batch while the workers are idle, or, on a
   device that is another machine, while the workers train those that were measured before.
3. What is over a limit is stored as infeasible; the others are trained, and each result is stored the moment it comes. With
   rungs all wait at each of them, and the better part is trained on.
4. When all have an outcome, they are told in the order of the candidates, so that the number of workers changes nothing.
"""

from collections.abc import Mapping, Sequence

from hwnas.candidate import Candidate, Outcome
from hwnas.experiment.evaluator import Measured
from hwnas.experiment.sitting import Ended, Sitting, generations_done


def search_in_generations(sitting: Sitting) -> Ended:
    """Replay what is stored, then search until the budget ends."""
    stored = sitting.restore()
    generation = 0
    while (reason := _end(sitting, generation, stored)) is None:
        candidates = stored.pop(generation, None)  # not needed again, and a long run has many
        if candidates is None:
            candidates = sitting.ask(generation)
        else:
            sitting.strategy.adopt(candidates)
        if not candidates:
            return sitting.ended(sitting.exhausted())
        _generation(sitting, generation, candidates)
        if not _is_complete(sitting, candidates) and (cut := sitting.used_up()) is not None:
            return sitting.ended(cut)  # or the last generation would be told as done
        generation += 1
    if generation in stored:  # the budget ended within it, in an earlier sitting: what finished counts
        sitting.strategy.adopt(stored[generation])
        _tell(sitting, generation, stored[generation])
    return sitting.ended(reason)


def _end(sitting: Sitting, generation: int, stored: Mapping[int, Sequence[Candidate]]) -> str | None:
    """Why the search ends before this generation; None while it goes on. What is complete in the store is always replayed."""
    if generation in stored and _is_complete(sitting, stored[generation]):
        return None
    most = sitting.parts.config.budget.generations
    if most is not None and generation > most:
        return generations_done(most)
    return sitting.used_up()


def _is_complete(sitting: Sitting, candidates: Sequence[Candidate]) -> bool:
    return all(candidate.id in sitting.evaluator.outcomes for candidate in candidates)


def _generation(sitting: Sitting, generation: int, candidates: Sequence[Candidate]) -> None:
    sitting.report("measuring", generation=generation, done=0, total=len(candidates))
    evaluator = sitting.evaluator
    if not _is_complete(sitting, candidates):
        evaluator.warm_up()
    _submit(sitting, _measure(sitting, candidates))
    if sitting.latencies is not None and all(evaluator.is_measured(candidate) for candidate in candidates):
        sitting.latencies.report(generation, candidates)
    _train(sitting, candidates)
    _tell(sitting, generation, candidates)


def _measure(sitting: Sitting, candidates: Sequence[Candidate]) -> list[Measured]:
    """The candidates to be trained; those measured elsewhere have been submitted."""
    evaluator, waiting = sitting.evaluator, list[Measured]()
    for done, candidate in enumerate(candidates, 1):
        if candidate.id not in evaluator.outcomes and sitting.is_over(has_front=bool(waiting) or None):
            evaluator.leave(candidate.id)
            continue
        found = evaluator.measure(candidate)
        if isinstance(found, Measured):
            waiting.append(found)
        if evaluator.measures_elsewhere:
            _submit(sitting, waiting)
            waiting.clear()
            evaluator.collect(0.0)
        sitting.report("measuring", done=done)
        sitting.interrupt.check()
    return waiting


def _submit(sitting: Sitting, waiting: Sequence[Measured]) -> None:
    """Hand candidates to the workers; those that ``max_evaluations`` has no room for stay unfinished."""
    room = sitting.room
    for each in [] if room is None else waiting[room:]:
        sitting.evaluator.leave(each.candidate.id)
    sitting.evaluator.submit(waiting[:room])


def _train(sitting: Sitting, candidates: Sequence[Candidate]) -> None:
    """Wait for the candidates' results; when the time is over, what has none stays unfinished."""
    evaluator = sitting.evaluator
    sitting.report("training", done=len(candidates) - evaluator.training, total=len(candidates))
    while evaluator.training:
        evaluator.compare()
        evaluator.collect(sitting.wait_s())
        sitting.report("training", done=len(candidates) - evaluator.training)
        sitting.interrupt.check()
        if evaluator.training and sitting.is_over():
            evaluator.cancel()


def _tell(sitting: Sitting, generation: int, candidates: Sequence[Candidate]) -> None:
    known = sitting.evaluator.outcomes
    outcomes = [known.get(each.id, Outcome(candidate_id=each.id, status="unfinished")) for each in candidates]
    for outcome in outcomes:
        sitting.strategy.tell(outcome)
    sitting.refuse_no_start(outcomes)
    sitting.lay_yardstick(outcomes)
    if _is_complete(sitting, candidates):
        sitting.summarise(generation)
        sitting.tidy()
    sitting.report("training", front_size=len(sitting.front), hypervolume=sitting.hypervolume())
