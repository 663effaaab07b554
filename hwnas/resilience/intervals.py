"""Means and shares of stratified samples, each with an interval that has the coverage it claims."""

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special  # scipy.stats has the same quantiles, and takes a second to import

from hwnas.errors import ConfigError

Floats = NDArray[np.floating[Any]]
Indices = NDArray[np.int64]
DEFAULT_CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A value with its interval, in the unit of what was told; `dof` are the degrees of freedom behind `standard_error`."""

    value: float
    low: float
    high: float
    confidence: float
    standard_error: float
    dof: float
    n: int

    @property
    def half_width(self) -> float:
        """Half the interval's width; a one-sided bound counts in full."""
        return max(self.value - self.low, self.high - self.value)

    def scaled(self, factor: float) -> "Estimate":
        """The estimate times `factor` > 0: from per bit to per device, from fraction to points."""
        return replace(
            self,
            value=self.value * factor,
            low=self.low * factor,
            high=self.high * factor,
            standard_error=self.standard_error * factor,
        )

    def shifted(self, by: float) -> "Estimate":
        """The estimate plus a known number."""
        return replace(self, value=self.value + by, low=self.low + by, high=self.high + by)


@dataclass(frozen=True, slots=True, kw_only=True)
class StratumMoments:
    """What is known of h strata: size of the population part, sample count, mean, unbiased variance, third moment, (h,).

    A size may be infinite (sampling with replacement). The mean of no value and the variance of one are 0.
    """

    sizes: Floats
    counts: Indices
    means: Floats
    variances: Floats
    cubes: Floats

    @property
    def weights(self) -> Floats:
        """Share of the population in each stratum, (h,), adding up to 1; 1 for a single infinite stratum."""
        if not np.isfinite(self.sizes).all():
            return np.ones_like(self.sizes)
        return np.asarray(self.sizes / self.sizes.sum())

    @property
    def unseen(self) -> Floats:
        """Finite population correction of each stratum, (h,): 1 where nothing is known, 0 where all of it is."""
        return 1.0 - self.counts / self.sizes


def stratum_moments(values: ArrayLike, strata: ArrayLike, sizes: ArrayLike) -> StratumMoments:
    """Moments of `values` (n,) lying in `strata` (n,), integers into `sizes` (h,).

    Raises ConfigError for NaN or infinite values.
    """
    values, strata, sizes = np.asarray(values, float), np.asarray(strata, np.int64), np.asarray(sizes, float)
    if not np.isfinite(values).all():
        raise ConfigError("an outcome is not finite; count a non-finite prediction as wrong before telling the drop")
    if not np.isfinite(sizes).all() and len(sizes) > 1:
        raise ConfigError("strata of infinite size have no weights; give finite sizes, or a single infinite stratum")
    counts = np.bincount(strata, minlength=len(sizes))
    some = np.maximum(counts, 1)
    means = np.bincount(strata, values, len(sizes)) / some
    deviations = values - means[strata]
    return StratumMoments(
        sizes=sizes,
        counts=counts,
        means=means,
        variances=np.bincount(strata, deviations**2, len(sizes)) / np.maximum(counts - 1, 1),
        cubes=np.bincount(strata, deviations**3, len(sizes)) / some,
    )


def stratified_mean(moments: StratumMoments, confidence: float = DEFAULT_CONFIDENCE) -> Estimate:
    """Population mean with a t interval: Satterthwaite degrees of freedom, finite population correction.

    The interval is widened to cover Hall's (1992) correction for skewness as well: damage is rare and large, and on
    such samples t alone covers 85 % where it claims 95 %. Raises ConfigError where a stratum has fewer than two
    values and was not drawn in full.
    """
    if (moments.counts < np.minimum(2, moments.sizes)).any():
        raise ConfigError("expected two or more values (or all) of every stratum, got fewer; complete the pilot first")
    parts = moments.weights**2 * moments.unseen * moments.variances / moments.counts
    variance = float(parts.sum())
    doubts = float((parts**2 / np.maximum(moments.counts - 1, 1)).sum())
    dof = variance**2 / doubts if doubts > 0 else math.inf
    value, error = float(moments.weights @ moments.means), math.sqrt(variance)
    quantile = float(special.stdtrit(dof, 0.5 + confidence / 2))
    skewness = 0.0
    if variance > 0:
        skewness = float((moments.weights**3 * moments.unseen * moments.cubes / moments.counts**2).sum()) / error**3
    return Estimate(
        value=value,
        low=value - error * max(quantile, _hall(quantile, skewness)),
        high=value - error * min(-quantile, _hall(-quantile, skewness)),
        confidence=confidence,
        standard_error=error,
        dof=dof,
        n=int(moments.counts.sum()),
    )


def _hall(quantile: float, skewness: float) -> float:
    """The quantile of a studentised mean whose estimate has this skewness: Hall's cubic transformation, inverted."""
    if abs(skewness) < 1e-6:  # the limit; the formula divides by it
        return quantile
    return 3 / skewness * (float(np.cbrt(1 + skewness * (quantile - skewness / 6))) - 1)


def cautious(moments: StratumMoments, groups: Indices, lowest: Floats, highest: Floats) -> StratumMoments:
    """The moments with variances as if every group of strata had two more values, its `lowest` and its `highest` (g,).

    `groups` (h,) are integers into g. Twenty faults that all cost 80 points are no proof that the next one does: taken
    as such, coverage there falls to 82 %. Spread over a group the two values weigh little (our definition).
    """
    share = moments.sizes / np.bincount(groups, moments.sizes)[groups]
    squares = share * ((lowest[groups] - moments.means) ** 2 + (highest[groups] - moments.means) ** 2)
    shrunk = moments.counts / (moments.counts + 1)  # a new value moves the mean a little towards itself
    return replace(moments, variances=moments.variances + squares * shrunk / np.maximum(moments.counts - 1, 1))


def mean(values: ArrayLike, confidence: float = DEFAULT_CONFIDENCE) -> Estimate:
    """Mean of independent values (n,), n >= 2, with Student's t interval: trials at one bit error rate, say."""
    return stratified_mean(stratum_moments(values, np.zeros(np.size(values), np.int64), [math.inf]), confidence)


def stratified_share(moments: StratumMoments, confidence: float = DEFAULT_CONFIDENCE) -> Estimate:
    """Population share of a yes (told as 1) against a no (told as 0).

    Wilson's interval at the effective sample size p (1 - p) / variance, which for one stratum is plain Wilson. Where no
    yes (or nothing but yes) was seen, n p < 1, a one-sided bound by `unseen_share`.
    """
    plain = stratified_mean(moments, confidence)
    value = plain.value
    if not (moments.unseen > 0).any():
        low = high = value
    elif moments.means.max() > 0 and moments.means.min() < 1 and plain.standard_error > 0:
        low, high = wilson(value, value * (1 - value) / plain.standard_error**2, confidence)
    else:
        reach = unseen_share(moments, confidence)
        low, high = (value if value == 0 else value - reach), (value if value == 1 else value + reach)
    return replace(plain, low=max(0.0, low), high=min(1.0, high))


def wilson(share: float, n: float, confidence: float = DEFAULT_CONFIDENCE) -> tuple[float, float]:
    """Wilson's score interval; scipy's `proportion_ci` is the same but takes no fractional (effective) n."""
    z2 = float(special.ndtri(0.5 + confidence / 2)) ** 2
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    reach = math.sqrt(z2 * (share * (1 - share) / n + z2 / (4 * n**2))) / (1 + z2 / n)
    return centre - reach, centre + reach


def unseen_share(moments: StratumMoments, confidence: float = DEFAULT_CONFIDENCE) -> float:
    """Upper bound of the population share that behaves as nothing seen in its stratum did (our definition).

    A share p_h of each stratum stays hidden with probability prod (1 - p_h)^n_h <= exp(-sum n_h p_h); the largest sum
    of W_h p_h that keeps this at 1 - confidence is log(1 / (1 - confidence)) max W_h / n_h: for one stratum the rule
    of three.
    """
    reach = moments.weights * (moments.unseen > 0) / np.maximum(moments.counts, 1)
    return min(1.0, -math.log(1 - confidence) * float(reach.max()))


def leveugle_sample_size(population: int, *, margin: float, confidence: float = DEFAULT_CONFIDENCE, share: float = 0.5) -> int:
    """Faults that a plain sample of a population of bits needs for a share known to +- `margin` (Leveugle et al. 2009).

    n = N / (1 + e^2 (N - 1) / (t^2 p (1 - p))), rounded up; `share` 0.5 is the worst case.
    """
    if not (population >= 1 and 0 < margin < 1 and 0 < confidence < 1 and 0 < share < 1):
        raise ConfigError(
            f"expected a population of bits and margin, confidence and share inside (0, 1), got {population}, {margin}, "
            f"{confidence}, {share}; correct them"
        )
    cut = float(special.ndtri(0.5 + confidence / 2))
    return math.ceil(population / (1 + margin**2 * (population - 1) / (cut**2 * share * (1 - share))))
