"""Trials at bit error rates, cut into kinds, and which to run next.

Of how many trials hit no bit at all, and of how many hit one of the bits that alone do nearly all damage, the numbers of bits
tell: sampling decides only what the trials of a kind cost. A trial without a hit is known, and none is run. What is left goes
to the kinds of all rates by cost-aware Neyman allocation after a pilot in each, until the area under the curve is known.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from hwnas.errors import ConfigError
from hwnas.resilience.intervals import Floats, Indices, StratumMoments, cautious, stratum_moments
from hwnas.resilience.population import Population
from hwnas.resilience.sampling import neyman_counts
from hwnas.resilience.strata import Stratum, stratify

HEAVY = ("float32 exponent top", "float16 exponent top", "bfloat16 exponent top", "int32 sign", "int32 top")
NO_LIMIT = 1e12  # trials of a kind: they can be drawn for ever, so no correction for a finite population


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialKind:
    """Trials at rate number ``rate`` that hit something of their ``name``; their ``share`` of all trials there, in (0, 1]."""

    rate: int
    name: str
    share: float

    def __post_init__(self) -> None:
        if self.rate < 0 or not 0 < self.share <= 1:
            raise ConfigError(f"expected a rate number from 0 and a share in (0, 1], got {self.rate} and {self.share}")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialPlan:
    """Settings: trials in the pilot of a kind, at least and at most; in a batch at least; of all kinds together at most."""

    least: int = 2
    pilot: int = 20
    batch: int = 10
    limit: int = 4000


def plain_kinds(rates: int) -> tuple[TrialKind, ...]:
    """One kind at each rate: every trial."""
    return tuple(TrialKind(rate=number, name="all", share=1.0) for number in range(rates))


class BitErrors:
    """Bit errors in a population: the kinds of trials at some rates, and the bits that a trial of a kind hits."""

    def __init__(self, population: Population, bers: Sequence[float]) -> None:
        parts = stratify(population)
        heavy = [part for part in parts if part.group in HEAVY]
        rest = [part for part in parts if part.group not in HEAVY]
        self._heavy, self._rest = _joined(heavy), _joined(rest)
        self._bers = tuple(bers)
        kinds = [kind for number, ber in enumerate(bers) for kind in self._kinds(number, ber)]
        self.kinds = tuple(TrialKind(rate=rate, name=name, share=share) for rate, name, share in kinds if share > 0)

    def draw(self, kind: TrialKind, rng: np.random.Generator) -> Indices:
        """Bit indices of one trial of the kind, (k,) distinct."""
        ber = self._bers[kind.rate]
        if kind.name == "heavy":
            counts = _positive_binomial(self._heavy.size, ber, rng), int(rng.binomial(self._rest.size, ber))
        else:
            counts = 0, _positive_binomial(self._rest.size, ber, rng)
        drawn = [
            part.bits(rng.choice(part.size, count, replace=False, shuffle=False))
            for part, count in zip((self._heavy, self._rest), counts, strict=True)
            if count
        ]
        return np.concatenate(drawn)

    def _kinds(self, number: int, ber: float) -> list[tuple[int, str, float]]:
        heavy, rest = _any(self._heavy.size, ber), _any(self._rest.size, ber)
        return [(number, "light", (1 - heavy) * rest), (number, "heavy", heavy)]


def area_weights(bers: ArrayLike) -> Floats:
    """What the accuracy at each rate, (k,), weighs in the mean over log10 BER by the trapezoidal rule; they add up to 1."""
    steps = np.diff(np.log10(np.asarray(bers, float)))
    return np.asarray((np.append(steps, 0) + np.append(0, steps)) / (2 * steps.sum()))


def trial_moments(kinds: Sequence[TrialKind], weights: ArrayLike, trials: Sequence[ArrayLike], clean: float) -> StratumMoments:
    """Moments of trials by kind, weighted by the share of the kind and the weight (k,) of its rate; ``trials`` are accuracies.

    Cautious by two values a name: the best and the worst seen at any rate, of which no effect is one (our definition).
    """
    rates = np.array([kind.rate for kind in kinds])
    values = np.concatenate([np.asarray(trial, float) for trial in trials])
    places = np.repeat(np.arange(len(kinds)), [np.size(trial) for trial in trials])
    sizes = np.asarray(weights, float)[rates] * [kind.share for kind in kinds]
    moments = stratum_moments(values, places, NO_LIMIT * sizes)
    names = _names(kinds)
    lowest, highest = np.full((2, names.max() + 1), clean)
    np.minimum.at(lowest, names[places], values)
    np.maximum.at(highest, names[places], values)
    return cautious(moments, names, lowest, highest)


def next_trials(kinds: Sequence[TrialKind], moments: StratumMoments, costs: Floats, plan: TrialPlan) -> Indices:
    """How many trials of each kind (h,) to run next; ``costs`` (h,) of one. Nothing where the limit is reached.

    Batches grow with what was tried. A kind's variance is its own and, as if from another pilot, that of its name at all rates:
    by its own alone, one that looked calm by luck would be left alone, the area biased and its interval too short (simulated).
    """
    tried = int(moments.counts.sum())
    missing = pilot_left(moments, plan)
    left = max(0, plan.limit - tried)
    if missing.any() or not left:
        return missing
    names = _names(kinds)
    common = np.bincount(names, moments.weights * moments.variances) / np.bincount(names, moments.weights)
    variances = (moments.counts * moments.variances + plan.pilot * common[names]) / (moments.counts + plan.pilot)
    appeal = moments.weights * np.sqrt(variances / costs)
    if not appeal.any():
        appeal = moments.weights
    return neyman_counts(moments, appeal, min(max(plan.batch, tried // 10), left))


def pilot_left(moments: StratumMoments, plan: TrialPlan) -> Indices:
    """Trials of each kind (h,) that the pilot still needs: all of it where the kind has a weight of 1/20 or more."""
    pilot = np.clip(np.ceil(20 * plan.pilot * moments.weights), plan.least, plan.pilot).astype(np.int64)
    return np.asarray(np.maximum(pilot - moments.counts, 0))


def _names(kinds: Sequence[TrialKind]) -> Indices:
    return np.asarray(np.unique([kind.name for kind in kinds], return_inverse=True)[1], np.int64)


def _joined(parts: Sequence[Stratum]) -> Stratum:
    return Stratum(layer="all", group="all", pieces=tuple(piece for part in parts for piece in part.pieces))


def _any(bits: int, ber: float) -> float:
    """How probable it is that one of ``bits`` flips."""
    if not bits or ber == 1:
        return float(bits > 0)
    return float(-np.expm1(bits * np.log1p(-ber)))


def _positive_binomial(bits: int, ber: float, rng: np.random.Generator) -> int:
    """A number of flips, given that it is not 0."""
    from scipy.stats import binom  # takes a second, which only trials at bit error rates have to spend

    none = 1 - _any(bits, ber)
    return max(1, int(binom.isf((1 - none) * rng.random(), bits, ber)))
