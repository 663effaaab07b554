"""How well a proxy ranks networks.

Rank correlations with intervals over networks and fault noise, controls, and what noise in the target allows.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hwnas.errors import ConfigError
from hwnas.resilience.bootstrap import DEFAULT_RESAMPLES, percentile_interval
from hwnas.resilience.intervals import DEFAULT_CONFIDENCE, Estimate, Floats

Correlation = Callable[[Floats, Floats, Floats], float]
"""A correlation of x (n,) and y (n,) given controls (n, c), which a plain correlation leaves aside."""


def spearman(x: Floats, y: Floats, controls: Floats) -> float:
    """Spearman's rho; NaN where x or y is constant."""
    return _pearson(_ranks(x), _ranks(y))


def kendall(x: Floats, y: Floats, controls: Floats) -> float:
    """Kendall's tau-b; NaN where x or y is constant."""
    from scipy.stats import kendalltau  # takes a second, which only a correlation has to spend

    return float(kendalltau(x, y).statistic)


def partial_spearman(x: Floats, y: Floats, controls: Floats) -> float:
    """Spearman's rho of x and y given the controls: Pearson's r of what the ranks of the controls do not explain linearly.

    NaN where the controls explain x or y completely.
    """
    ranks = np.column_stack([np.ones(len(x)), *(_ranks(column) for column in controls.T)])
    both = np.column_stack([_ranks(x), _ranks(y)])
    residuals = both - ranks @ np.linalg.lstsq(ranks, both, rcond=None)[0]
    residuals[:, np.ptp(residuals, axis=0) < 1e-9 * len(x)] = 0.0  # rounding left over is not information
    return _pearson(residuals[:, 0], residuals[:, 1])


def correlate(
    correlation: Correlation,
    proxy: ArrayLike,
    target: ArrayLike,
    rng: np.random.Generator,
    *,
    controls: ArrayLike | None = None,
    target_noise: ArrayLike | None = None,
    resamples: int = DEFAULT_RESAMPLES,
    confidence: float = DEFAULT_CONFIDENCE,
) -> Estimate:
    """A correlation of proxy (n,) and measured target (n,) over n networks, with a percentile interval.

    Resamples networks and, in each, the target: one of the r fault bootstraps of it in `target_noise` (n, r).
    Resamples in which a variable is constant are drawn again. Raises ConfigError for fewer than 4 networks, for NaN,
    or where there is no correlation to speak of.
    """
    proxy, target = np.asarray(proxy, float), np.asarray(target, float)
    given = np.empty((len(proxy), 0)) if controls is None else np.asarray(controls, float).reshape(len(proxy), -1)
    noise = target[:, None] if target_noise is None else np.asarray(target_noise, float)
    if not 4 <= len(proxy) == len(target) == len(noise):
        raise ConfigError(f"expected 4 or more networks with proxy and target, got {len(proxy)} and {len(target)}; measure more")
    if not all(np.isfinite(values).all() for values in (proxy, target, given, noise)):
        raise ConfigError("expected finite proxies, targets and controls; leave out the networks where they are missing")
    value = correlation(proxy, target, given)
    if np.isnan(value):
        raise ConfigError("the proxy or the target is constant, or the controls explain it fully; there is nothing to correlate")
    samples: list[float] = []
    for _ in range(20 * resamples):
        chosen = rng.integers(len(proxy), size=len(proxy))
        drawn = noise[chosen, rng.integers(noise.shape[1], size=len(proxy))]
        sample = correlation(proxy[chosen], drawn, given[chosen])
        samples += [] if np.isnan(sample) else [sample]
        if len(samples) == resamples:
            return percentile_interval(value, samples, len(proxy), confidence)
    raise ConfigError("almost every resample of the networks has a constant proxy or target; use networks that differ more")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reliability:
    """How well the target agrees with itself.

    Spearman's rho between halves of its trials, stepped up to all of them by Spearman and Brown's formula.
    """

    value: float

    @property
    def ceiling(self) -> float:
        """The largest correlation that a perfect proxy could show with so noisy a target."""
        return float(np.sqrt(max(self.value, 0.0)))


def split_half_reliability(trials: ArrayLike, rng: np.random.Generator, *, splits: int = 200) -> Reliability:
    """Reliability of a target that is the mean over t trials of n networks (n, t), averaged over random halvings of the trials.

    Raises ConfigError for fewer than 3 networks or 2 trials, or where every network has the same outcome.
    """
    trials = np.asarray(trials, float)
    if trials.ndim != 2 or trials.shape[0] < 3 or trials.shape[1] < 2:
        raise ConfigError(f"expected 3 or more networks x 2 or more trials, got shape {trials.shape}; measure more")
    half = trials.shape[1] // 2
    found = []
    for _ in range(splits):
        order = rng.permutation(trials.shape[1])
        first, second = trials[:, order[:half]].mean(axis=1), trials[:, order[half : 2 * half]].mean(axis=1)
        found.append(_pearson(_ranks(first), _ranks(second)))
    agreement = float(np.mean(found))
    if np.isnan(agreement):
        raise ConfigError("all networks have the same outcome in half of the trials; use a higher error rate or more trials")
    return Reliability(value=2 * agreement / (1 + agreement) if agreement > 0 else agreement)


def _ranks(values: ArrayLike) -> NDArray[np.float64]:
    """Ranks (n,) of values (n,), 1 the smallest; equal ones share the mean of theirs."""
    from scipy.stats import rankdata

    return np.asarray(rankdata(values), float)


def _pearson(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    """Pearson's r, NaN for a constant: scipy's warns there, and is 20 times slower on the few dozen values of a bootstrap."""
    x, y = x - x.mean(), y - y.mean()
    scale = np.sqrt((x @ x) * (y @ y))
    return float(x @ y / scale) if scale > 0 else float("nan")
