"""Bootstrap over faults: the fault is the unit, since images under one fault agree with each other (correlation 0.7).

Resampling is done by weights: a statistic takes weights (r, n) of the n faults, one row per resample, and gives r
values. A weighted mean is `weights @ values`; anything finer can use the same weights on any array whose first axis
is the fault.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from hwnas.errors import ConfigError
from hwnas.resilience.intervals import DEFAULT_CONFIDENCE, Estimate, Floats

DEFAULT_RESAMPLES = 2000


def resampled_weights(
    weights: ArrayLike, strata: ArrayLike, rng: np.random.Generator, resamples: int = DEFAULT_RESAMPLES
) -> Floats:
    """Weights (r, n) of bootstrap resamples of faults within strata (n,).

    Rao and Wu (1988): n_h - 1 draws out of n_h, scaled by n_h / (n_h - 1), so that small strata keep their full
    variance. A stratum of one fault does not vary. No finite population correction: on the safe side.
    """
    weights, strata = np.asarray(weights, float), np.asarray(strata, np.int64)
    drawn = np.ones((resamples, len(weights)))
    for number in np.unique(strata):
        members = np.flatnonzero(strata == number)
        count = len(members)
        if count > 1:
            drawn[:, members] = rng.multinomial(count - 1, np.full(count, 1 / count), resamples) * (count / (count - 1))
    return weights * drawn


def percentile_interval(value: float, samples: ArrayLike, n: int, confidence: float = DEFAULT_CONFIDENCE) -> Estimate:
    """The interval of a bootstrapped value from its samples (r,), infinite ones allowed: each end is one of them.

    Raises ConfigError for NaN.
    """
    samples = np.asarray(samples, float)
    if np.isnan(samples).any():
        raise ConfigError("a bootstrapped statistic is not a number in some resample; use more networks or faults")
    tails = [(1 - confidence) / 2, (1 + confidence) / 2]
    low, high = (float(end) for end in np.quantile(samples, tails, method="inverted_cdf"))
    finite = np.isfinite(samples).all()
    return Estimate(
        value=value,
        low=low,
        high=high,
        confidence=confidence,
        standard_error=float(samples.std(ddof=1)) if finite else np.inf,
        dof=np.inf,
        n=n,
    )


def cluster_bootstrap(
    statistic: Callable[[Floats], Floats],
    weights: ArrayLike,
    strata: ArrayLike,
    rng: np.random.Generator,
    *,
    resamples: int = DEFAULT_RESAMPLES,
    confidence: float = DEFAULT_CONFIDENCE,
) -> Estimate:
    """A statistic of fault weights with its percentile interval; `statistic` maps (r, n) to (r,)."""
    weights = np.asarray(weights, float)
    value = float(statistic(weights[None])[0])
    samples = statistic(resampled_weights(weights, strata, rng, resamples))
    return percentile_interval(value, samples, len(weights), confidence)
