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
from hwnas.experiment.session import Ended, Session, generations_done


def search_in_generations(session: Session) -> Ended:
    """Replay what is stored, then search until the budget ends."""
    stored = session.restore()
    generation = 0
    while (reason := _end(session, generation, stored)) is None:
        candidates = stored.pop(generation, None)  # not needed again, and a long run has many
        if candidates is None:
            candidates = session.ask(generation)
        else:
            session.strategy.adopt(candidates)
        if not candidates:
            return session.ended(session.exhausted())
        _generation(session, generation, candidates)
        if not _is_complete(session, candidates) and (cut := session.used_up()) is not None:
            return session.ended(cut)  # or the last generation would be reported as done
        generation += 1
    if generation in stored:  # the budget ended within it, in an earlier session: what finished counts
        session.strategy.adopt(stored[generation])
        _tell(session, generation, stored[generation])
    return session.ended(reason)


def _end(session: Session, generation: int, stored: Mapping[int, Sequence[Candidate]]) -> str | None:
    """Why the search ends before this generation; None while it continues. What is complete in the store is always replayed."""
    if generation in stored and _is_complete(session, stored[generation]):
        return None
    most = session.context.config.budget.generations
    if most is not None and generation > most:
        return generations_done(most)
    return session.used_up()


def _is_complete(session: Session, candidates: Sequence[Candidate]) -> bool:
    return all(candidate.id in session.evaluator.outcomes for candidate in candidates)


def _generation(session: Session, generation: int, candidates: Sequence[Candidate]) -> None:
    session.report("measuring", generation=generation, done=0, total=len(candidates))
    evaluator = session.evaluator
    if not _is_complete(session, candidates):
        evaluator.warm_up()
    _submit(session, _measure(session, candidates))
    if session.latencies is not None and all(evaluator.is_measured(candidate) for candidate in candidates):
        session.latencies.report(generation, candidates)
    _train(session, candidates)
    _tell(session, generation, candidates)


def _measure(session: Session, candidates: Sequence[Candidate]) -> list[Measured]:
    """The candidates to be trained; those measured elsewhere have been submitted."""
    evaluator, waiting = session.evaluator, list[Measured]()
    for done, candidate in enumerate(candidates, 1):
        if candidate.id not in evaluator.outcomes and session.is_over(has_front=bool(waiting) or None):
            evaluator.leave(candidate.id)
            continue
        found = evaluator.measure(candidate)
        if isinstance(found, Measured):
            waiting.append(found)
        if evaluator.measures_elsewhere:
            _submit(session, waiting)
            waiting.clear()
            evaluator.collect(0.0)
        session.report("measuring", done=done)
        session.interrupt.check()
    return waiting


def _submit(session: Session, waiting: Sequence[Measured]) -> None:
    """Hand candidates to the workers; those that ``max_evaluations`` has no room for stay unfinished."""
    room = session.room
    for each in [] if room is None else waiting[room:]:
        session.evaluator.leave(each.candidate.id)
    session.evaluator.submit(waiting[:room])


def _train(session: Session, candidates: Sequence[Candidate]) -> None:
    """Wait for the candidates' results; when the time is over, what has none stays unfinished."""
    evaluator = session.evaluator
    session.report("training", done=len(candidates) - evaluator.training, total=len(candidates))
    while evaluator.training:
        evaluator.compare()
        evaluator.collect(session.wait_s())
        session.report("training", done=len(candidates) - evaluator.training)
        session.interrupt.check()
        if evaluator.training and session.is_over():
            evaluator.cancel()


def _tell(session: Session, generation: int, candidates: Sequence[Candidate]) -> None:
    known = session.evaluator.outcomes
    outcomes = [known.get(each.id, Outcome(candidate_id=each.id, status="unfinished")) for each in candidates]
    for candidate, outcome in zip(candidates, outcomes, strict=True):
        session.tell(candidate, outcome)
    session.refuse_no_start(outcomes)
    session.lay_hypervolume_box(outcomes)
    if _is_complete(session, candidates):
        session.summarise(generation)
        session.tidy()
    session.report("training", front_size=len(session.front), hypervolume=session.hypervolume())
