"""Which differences between networks are real: all pairs, Holm's correction over them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from hwnas.resilience.bootstrap import percentile_interval
from hwnas.resilience.intervals import DEFAULT_CONFIDENCE, Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Network number `first` minus `second`: the estimate with its own interval, and p values before and after Holm."""

    first: int
    second: int
    estimate: Estimate
    p_value: float
    p_holm: float

    @property
    def real(self) -> bool:
        """Whether the difference stands after the correction, at the estimate's confidence."""
        return self.p_holm < 1 - self.estimate.confidence


def independent_differences(estimates: Sequence[Estimate]) -> tuple[Difference, ...]:
    """All pairs of networks, by Welch's t on the estimates of each.

    Not paired, on purpose: the unit is the fault, the bits of two networks are not the same bits, and each campaign stops after
    as many as it needs. All that two networks share is the images: trials of one number, on the same 50 of them, correlated at
    -0.2 to 0.3 in five pairs of campaigns, from which pairing would hardly gain.
    """
    return _corrected([(i, j, _welch(estimates[i], estimates[j])) for i, j in combinations(range(len(estimates)), 2)])


def rank_intervals(values: ArrayLike, samples: ArrayLike, confidence: float = DEFAULT_CONFIDENCE) -> tuple[Estimate, ...]:
    """Rank of each of m networks by values (m,), 1 the smallest and ties shared, from bootstraps (r, m) of those values."""
    from scipy.stats import rankdata  # takes a second, which only a comparison has to spend

    values = np.asarray(values, float)
    ranks, resampled = rankdata(values), rankdata(np.asarray(samples, float), axis=1)
    return tuple(
        percentile_interval(float(rank), resampled[:, number], len(values), confidence) for number, rank in enumerate(ranks)
    )


def holm(p_values: ArrayLike) -> NDArray[np.float64]:
    """Holm's (1979) adjusted p values (m,); scipy has only the false discovery rate."""
    p_values = np.asarray(p_values, float)
    order = np.argsort(p_values)
    stepped = np.maximum.accumulate(p_values[order] * np.arange(len(p_values), 0, -1))
    adjusted = np.empty_like(p_values)
    adjusted[order] = np.minimum(stepped, 1.0)
    return adjusted


def _welch(first: Estimate, second: Estimate) -> Estimate:
    variances = first.standard_error**2, second.standard_error**2
    doubts = variances[0] ** 2 / first.dof + variances[1] ** 2 / second.dof
    dof = sum(variances) ** 2 / doubts if doubts > 0 else math.inf
    value, error = first.value - second.value, math.sqrt(sum(variances))
    reach = float(special.stdtrit(dof, 0.5 + first.confidence / 2)) * error
    return Estimate(
        value=value,
        low=value - reach,
        high=value + reach,
        confidence=first.confidence,
        standard_error=error,
        dof=dof,
        n=first.n + second.n,
    )


def _corrected(pairs: Sequence[tuple[int, int, Estimate]]) -> tuple[Difference, ...]:
    p_values = [_two_sided_p(estimate) for _, _, estimate in pairs]
    return tuple(
        Difference(first=i, second=j, estimate=estimate, p_value=p, p_holm=float(adjusted))
        for (i, j, estimate), p, adjusted in zip(pairs, p_values, holm(p_values), strict=True)
    )


def _two_sided_p(estimate: Estimate) -> float:
    if estimate.standard_error == 0:
        return 1.0 if estimate.value == 0 else 0.0
    return float(2 * special.stdtr(estimate.dof, -abs(estimate.value) / estimate.standard_error))
