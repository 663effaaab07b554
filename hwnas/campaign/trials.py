"""The trials of an accuracy-BER curve: those that are known, and which to run next."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from hwnas.errors import StoreError
from hwnas.resilience import Curve, TrialKind, TrialPlan, area_weights, next_trials, trial_moments


class CurveTrials:
    """The trials of a curve so far, and those to run next."""

    def __init__(self, kinds: tuple[TrialKind, ...], bers: tuple[float, ...], clean: float, chance: float) -> None:
        self.kinds, self.told = kinds, 0
        self._bers, self._clean, self._chance = bers, clean, chance
        self._accuracies: list[list[float]] = [[] for _ in kinds]
        self._costs: list[float] = [0.0] * len(kinds)

    def wanted(self) -> list[tuple[int, int]]:
        """Kind and number of each trial of the next batch; none once the limit is reached."""
        moments = trial_moments(self.kinds, area_weights(self._bers), self._accuracies, self._clean)
        costs = np.array([total / len(done) if done else 1.0 for total, done in zip(self._costs, self._accuracies, strict=True)])
        counts = next_trials(self.kinds, moments, costs, TrialPlan())
        return [
            (number, len(self._accuracies[number]) + place) for number in range(len(counts)) for place in range(counts[number])
        ]

    def tell(self, number: int, trial: int, row: Mapping[str, Any]) -> None:
        """What came of a trial. Raises StoreError where the row is another's."""
        kind = self.kinds[number]
        expected = {"ber": self._bers[kind.rate], "kind": kind.name, "trial": trial}
        numbers = all(isinstance(row.get(name), int | float) for name in ("accuracy", "cost"))
        if not numbers or any(row.get(name) != value for name, value in expected.items()):
            raise StoreError(f"the campaign file has a row {row} where {expected} was drawn; move the file away to start again")
        self._accuracies[number].append(row["accuracy"])
        self._costs[number] += row["cost"]
        self.told += 1

    def curve(self) -> Curve:
        """What is known so far."""
        trials = tuple(np.array(each) for each in self._accuracies)
        return Curve(bers=self._bers, kinds=self.kinds, trials=trials, clean=self._clean, chance=self._chance)
