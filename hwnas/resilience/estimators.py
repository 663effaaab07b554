"""What a stratified sample of faults says of the population: means and shares, of all of it or of some strata."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from hwnas.errors import ConfigError
from hwnas.resilience.intervals import (
    DEFAULT_CONFIDENCE,
    Estimate,
    Floats,
    Indices,
    StratumMoments,
    cautious,
    stratified_mean,
    stratified_share,
    stratum_moments,
    unseen_share,
)
from hwnas.resilience.strata import Stratum

UNSEEN = 0.75  # of the largest outcome possible: what the one fault may cost that every interval allows for


@dataclass(frozen=True, slots=True, kw_only=True)
class Design:
    """How a population was cut: the size of each stratum (h,), and its bit group as an integer (h,)."""

    sizes: Indices
    groups: Indices

    @classmethod
    def of(cls, strata: Sequence[Stratum]) -> "Design":
        """The design of these strata; strata of one bit group in different layers share its integer."""
        groups = np.unique([stratum.group for stratum in strata], return_inverse=True)[1]
        return cls(sizes=np.array([stratum.size for stratum in strata], np.int64), groups=groups.astype(np.int64))


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultSample:
    """One number per tried fault, `values` (n,), and the stratum it was drawn from, `strata` (n,).

    Any number will do: the drop that the sampler was told, the classification change rate, 1 for critical. Raises
    ConfigError where their shapes differ.
    """

    design: Design
    strata: Indices
    values: Floats

    def __post_init__(self) -> None:
        if self.strata.shape != self.values.shape or self.strata.ndim != 1:
            raise ConfigError(f"expected one stratum per value, got {self.strata.shape} and {self.values.shape}; correct them")

    def within(self, strata: ArrayLike) -> "FaultSample":
        """The part of the sample in the numbered strata, as a sample of that part of the population: one layer, one group."""
        chosen = np.unique(np.asarray(strata, np.int64))
        here = np.isin(self.strata, chosen)
        design = Design(sizes=self.design.sizes[chosen], groups=self.design.groups[chosen])
        return FaultSample(design=design, strata=np.searchsorted(chosen, self.strata[here]), values=self.values[here])

    def part_of_total(self, strata: ArrayLike, *, confidence: float = DEFAULT_CONFIDENCE) -> Estimate | None:
        """What the numbered strata hold of the sum of all values over the population, a share in [0, 1]; values are 0 and more.

        A ratio of two stratified means, by its linear form: the mean of s + (1 - s) y / m inside the strata and s - s y / m
        outside, which is the share s itself, has the ratio's variance to first order. None where all values are 0, or where a
        stratum holds fewer than two that was not drawn in full.
        """
        weights, moments = self.weights(), self._moments()
        mean = float(weights @ self.values)
        if mean <= 0 or (moments.counts < np.minimum(2, moments.sizes)).any():
            return None
        inside = np.isin(self.strata, np.asarray(strata, np.int64))
        share = float(weights[inside] @ self.values[inside]) / mean
        found = replace(self, values=share + (inside - share) * self.values / mean)
        estimate = stratified_mean(found._moments(), confidence)
        return replace(estimate, value=share, low=max(0.0, min(share, estimate.low)), high=min(1.0, max(share, estimate.high)))

    @property
    def counts(self) -> Indices:
        """Number of faults tried of every stratum, (h,)."""
        return np.bincount(self.strata, minlength=len(self.design.sizes))

    def weights(self) -> Floats:
        """Weight of every fault, (n,), adding up to 1: the weighted sum of anything estimates its population mean."""
        return np.asarray((self.design.sizes / self.design.sizes.sum() / np.maximum(self.counts, 1))[self.strata])

    def moments(self, largest_value: float) -> StratumMoments:
        """Moments of the strata, cautious by two faults anywhere: one without effect, one of three quarters of `largest_value`.

        Damage is sparse, and where it was not met, nothing in the sample says so. With these two (our definition), the room that
        `mean` leaves and the plan of the sampler, intervals of 95 % hold the truth in 93 % of all campaigns and more where one
        bit in a hundred, of whatever group, costs all (simulated, stop rule on). Where damage is total and hardly more than what
        the interval is to tell apart from none, they are a little short: with six bits in a thousand, at 0.5 points of 100, they
        cover 93 (int8) and 92 % (float32).
        """
        together, effect = np.zeros(len(self.design.sizes), np.int64), UNSEEN * largest_value
        return cautious(self._moments(), together, np.zeros(1), np.array([effect]))

    def mean(self, *, largest_value: float, confidence: float = DEFAULT_CONFIDENCE) -> Estimate:
        """Population mean, of outcomes that are `largest_value` at most to either side.

        Either end leaves room for unmet faults of `largest_value` anywhere, as many as one sample in ten holds none of (our
        definition): log(10) = 2.3 in n, so that no interval is 0.5 points of 100 wide to either side before 460 faults.

        Raises ConfigError for fewer than two values in a stratum that was not drawn in full.
        """
        moments = self.moments(largest_value)
        estimate = stratified_mean(moments, confidence)
        hidden = largest_value * math.log(10) * float(moments.weights @ moments.unseen) / max(1, len(self.values))
        low, high = min(estimate.low, estimate.value - hidden), max(estimate.high, estimate.value + hidden)
        return replace(estimate, low=low, high=high)

    def share(self, *, confidence: float = DEFAULT_CONFIDENCE) -> Estimate:
        """Population share of the faults whose value is 1; the others' is 0. Raises ConfigError for other values.

        Bit groups without a 1 (n p < 1) add nothing but a one-sided bound of what stayed unseen in them to the upper end.
        """
        if not np.isin(self.values, (0, 1)).all():
            raise ConfigError("a share is taken of values 0 and 1 only; compare with a threshold first")
        groups = self.design.groups
        hit = np.isin(groups, groups[self.strata[self.values == 1]])
        if hit.any() and not hit.all():
            part = float(self.design.sizes[hit].sum() / self.design.sizes.sum())
            seen = self.within(np.flatnonzero(hit)).share(confidence=confidence).scaled(part)
            others = self.within(np.flatnonzero(~hit))._moments()
            reach = (1 - part) * unseen_share(others, (1 + confidence) / 2)
            return replace(seen, high=min(1.0, seen.high + reach), n=len(self.values))
        moments = self._moments()
        if 0 < self.values.sum() < len(self.values):
            ends = np.zeros(groups.max() + 1)
            moments = cautious(moments, groups, ends, ends + 1)
        return stratified_share(moments, confidence)

    def _moments(self) -> StratumMoments:
        return stratum_moments(self.values, self.strata, self.design.sizes)
