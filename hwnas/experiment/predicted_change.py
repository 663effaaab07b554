"""The expected change of networks that are not trained yet, predicted from those that the strategy knows."""

import logging
from collections import deque
from dataclasses import dataclass

from hwnas.candidate import Candidate, Outcome
from hwnas.estimate import ChangePredictor, prediction_errors
from hwnas.graph import Graph
from hwnas.store import RunStore

_log = logging.getLogger(__name__)

NAME = "expected_change"
EVENT = "change_predictor"
FITTED = 2000  # the newest networks, many for so few slopes: a refit takes milliseconds however long the run


@dataclass(frozen=True, slots=True, kw_only=True)
class _Report:
    """What is read of an event: values predicted before the training, and computed after it, (n,) each."""

    predicted: tuple[float, ...]
    computed: tuple[float, ...]


class PredictedChange:
    """What outcomes taught a run; it changes only by ``refit``, so that a replay predicts the same."""

    def __init__(self, store: RunStore) -> None:
        self._store = store
        self._newest: deque[tuple[Graph, float]] = deque(maxlen=FITTED)
        self._predictor: ChangePredictor | None = None
        earlier = list(store.events(EVENT, _Report))
        self._reported = {event.generation for event in earlier}
        self._pairs = [pair for event in earlier for pair in zip(event.payload.predicted, event.payload.computed, strict=True)]
        self._fresh: list[tuple[float, float]] = []  # since the last report

    def learn(self, candidate: Candidate, outcome: Outcome) -> None:
        """Take in a network that the strategy is told of, if it was trained."""
        if outcome.status != "finished" or NAME not in outcome.values:
            return
        computed = outcome.values[NAME]
        self._newest.append((candidate.graph, computed))
        if NAME in candidate.cheap:
            self._fresh.append((candidate.cheap[NAME], computed))

    def refit(self) -> None:
        """Fit to the newest networks; what is predicted changes only here."""
        if self._newest:
            graphs, values = zip(*self._newest, strict=True)
            self._predictor = ChangePredictor.fit(graphs, values)

    def predict(self, graph: Graph) -> float | None:
        """The predicted value; None while no network is trained: what is not known breaks no limit."""
        return None if self._predictor is None else self._predictor.predict(graph)

    def report(self, generation: int) -> None:
        """Keep, once, as an event, how well this generation was predicted; ``so_far`` pools the run."""
        fresh, self._fresh = self._fresh, []
        if generation in self._reported or not fresh:
            return
        self._reported.add(generation)
        self._pairs += fresh
        predicted, computed = zip(*fresh, strict=True)
        so_far = prediction_errors(*zip(*self._pairs, strict=True))
        payload = {"predicted": predicted, "computed": computed, "so_far": so_far}
        self._store.add_event(EVENT, payload, generation=generation)
        now = prediction_errors(predicted, computed)
        _log.info("expected change, generation %d: predicted %s; so far: %s", generation, now, so_far)
