"""The accuracy-BER curve of one network, and the few numbers that stand for it.

Single points of a float network's curve are bimodal and unstable; the normalised area is stable. Rates between the
measured ones are interpolated linearly in log10 BER. Crossings are read off the curve after isotonic regression: more
errors do not help, where the sample says so it is noise.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hwnas.errors import ConfigError
from hwnas.resilience.bootstrap import DEFAULT_RESAMPLES, percentile_interval, resampled_weights
from hwnas.resilience.intervals import DEFAULT_CONFIDENCE, Estimate, Floats, stratified_mean
from hwnas.resilience.trials import NO_LIMIT, TrialKind, area_weights, trial_moments


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """Trials of one network: the accuracy of each trial (t_h,) of each kind, at k >= 2 bit error rates, ascending and above 0.

    Trials of no kind hit nothing: their accuracy is ``clean``. A trial's accuracy is ``clean`` less what its images lost, so that
    on few images it may lie a little outside [0, 1].
    """

    bers: tuple[float, ...]
    kinds: tuple[TrialKind, ...]
    trials: tuple[NDArray[np.float64], ...]
    clean: float
    chance: float

    def __post_init__(self) -> None:
        ascending = all(a < b for a, b in zip((0.0, *self.bers), (*self.bers, 1.0 + 1e-12), strict=True))
        if len(self.bers) < 2 or not ascending:
            raise ConfigError(f"expected two or more ascending bit error rates in (0, 1], got {self.bers}; sort and correct them")
        if len(self.trials) != len(self.kinds) or any(np.ndim(t) != 1 or len(t) < 2 for t in self.trials):
            raise ConfigError("expected the accuracies of two or more trials of every kind; run more trials")
        if any(kind.rate >= len(self.bers) for kind in self.kinds):
            raise ConfigError(f"expected kinds of trials at rates number 0 to {len(self.bers) - 1}; correct the kinds")
        inside = all(np.isfinite(t).all() and t.min() >= -1 and t.max() <= 2 for t in self.trials)
        if not (inside and 0 <= self.chance < self.clean <= 1):
            raise ConfigError(
                f"expected accuracies of trials and a clean accuracy above chance, got "
                f"{self.clean} and {self.chance}; a network at chance has no curve"
            )

    def accuracies(self) -> NDArray[np.float64]:
        """Mean accuracy at each rate, (k,)."""
        return np.asarray(self._means(np.array([[trial.mean() for trial in self.trials]]))[0])

    def resampled(self, rng: np.random.Generator, resamples: int) -> Floats:
        """Mean accuracies (r, k) of curves whose trials are resampled in every kind on its own."""
        return self._means(resampled_curves(self.trials, rng, resamples))

    def mean(self, weights: ArrayLike, confidence: float = DEFAULT_CONFIDENCE) -> Estimate:
        """The mean of the accuracies at the rates with weights (k,) that add up to 1, with its t interval for skewed trials."""
        weights = np.asarray(weights, float)
        chosen = [number for number, kind in enumerate(self.kinds) if weights[kind.rate] > 0]
        if not chosen:  # no trial at this rate hits anything
            return replace(_NOTHING, value=self.clean, low=self.clean, high=self.clean, confidence=confidence)
        kinds, trials = [self.kinds[number] for number in chosen], [self.trials[number] for number in chosen]
        moments = trial_moments(kinds, weights, trials, self.clean)
        hit = float(moments.sizes.sum() / NO_LIMIT)
        return stratified_mean(moments, confidence).scaled(hit).shifted((1 - hit) * self.clean)

    def area(self, confidence: float = DEFAULT_CONFIDENCE) -> Estimate:
        """The normalised area. Its bootstrap covers less than it claims while trials are few and some do all the damage."""
        accuracy = self.mean(area_weights(self.bers), confidence)
        return accuracy.shifted(-self.chance).scaled(1 / (self.clean - self.chance))

    def _means(self, means: Floats) -> Floats:
        found = np.full((len(means), len(self.bers)), self.clean)
        for number, kind in enumerate(self.kinds):
            found[:, kind.rate] += kind.share * (means[:, number] - self.clean)
        return found


_NOTHING = Estimate(value=0.0, low=0.0, high=0.0, confidence=DEFAULT_CONFIDENCE, standard_error=0.0, dof=math.inf, n=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class CurveSummary:
    """What a curve says: accuracy at each rate, normalised area, the rate at half, the rate tolerated at one point of loss.

    A rate of 0 means lost already at the smallest rate tried, infinity never lost up to the largest.
    """

    accuracies: tuple[Estimate, ...]
    area: Estimate
    half_ber: Estimate
    tolerated_ber: Estimate


def normalised_area(bers: ArrayLike, accuracies: ArrayLike, *, clean: float, chance: float) -> Floats:
    """Mean of (accuracy - chance) / (clean - chance) over log10 BER, for curves (..., k): (...); our definition.

    1 is unharmed at every rate, 0 is guessing at every rate; noise is not clipped.
    """
    decades = np.log10(np.asarray(bers, float))
    kept = (np.asarray(accuracies, float) - chance) / (clean - chance)
    trapezia = np.diff(decades) * (kept[..., 1:] + kept[..., :-1]) / 2.0
    return np.asarray(trapezia.sum(axis=-1) / (decades[-1] - decades[0]))


def crossing_ber(bers: ArrayLike, accuracies: ArrayLike, level: float) -> float:
    """The rate at which a curve (k,) falls below `level`: 0 if at the first already, infinity if never (our definition)."""
    from scipy import optimize  # takes half a second, which a process that measures no curve has not to spend

    decades = np.log10(np.asarray(bers, float))
    falling = np.asarray(optimize.isotonic_regression(np.asarray(accuracies, float), increasing=False).x)
    below = np.flatnonzero(falling < level)
    if not len(below):
        return math.inf
    right = below[0]
    if right == 0:
        return 0.0
    return float(10 ** np.interp(-level, -falling[right - 1 : right + 1], decades[right - 1 : right + 1]))


def half_level(*, clean: float, chance: float) -> float:
    """The accuracy at which half of what the network knows above chance is lost."""
    return (clean + chance) / 2


def summarise(
    curve: Curve,
    rng: np.random.Generator,
    *,
    loss: float = 0.01,
    resamples: int = DEFAULT_RESAMPLES,
    confidence: float = DEFAULT_CONFIDENCE,
) -> CurveSummary:
    """The summary of a curve with intervals: t at each rate and for the area, percentile bootstrap over trials for crossings.

    `loss` is the tolerated loss of accuracy against the clean run, as a fraction.
    """
    resampled = curve.resampled(rng, resamples)
    measured, n = curve.accuracies(), sum(len(trial) for trial in curve.trials)
    levels = half_level(clean=curve.clean, chance=curve.chance), curve.clean - loss
    half, tolerated = (
        percentile_interval(
            crossing_ber(curve.bers, measured, level),
            [crossing_ber(curve.bers, sample, level) for sample in resampled],
            n,
            confidence,
        )
        for level in levels
    )
    return CurveSummary(
        accuracies=tuple(curve.mean(rate, confidence) for rate in np.eye(len(curve.bers))),
        area=curve.area(confidence),
        half_ber=half,
        tolerated_ber=tolerated,
    )


def resampled_curves(trials: Sequence[NDArray[np.float64]], rng: np.random.Generator, resamples: int) -> Floats:
    """Mean accuracies (r, k) of curves whose trials are resampled at every rate on its own."""
    columns = []
    for trial in trials:
        weights = np.full(len(trial), 1 / len(trial))
        columns.append(resampled_weights(weights, np.zeros(len(trial), np.int64), rng, resamples) @ trial)
    return np.column_stack(columns)
