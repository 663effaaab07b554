"""Density of a population in objective space, and sampling where it is thin.

LEMONADE draws parents and accepted children with probability inverse to a kernel density estimate of the population's
cheap objectives ([Elsken2019]; that children use the parents' estimate is from memory). Kernel, bandwidth and floor
are our definition, because the authors' are not known.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from hwnas.pareto.points import BoolArray, FloatArray, IntArray, as_points
from hwnas.pareto.scaling import log_flags, log_scaled, smallest_positive

FLOOR = 0.01  # of the smallest density over the population, so that far children do not share all the weight
MINIMUM_POINTS = 3  # with fewer, a bandwidth means nothing: uniform
ZERO_RANGE = 1e-12  # relative to the largest value: a spread below this is rounding
BLOCK = 64  # queries looked at together


@dataclass(frozen=True, slots=True, kw_only=True)
class Density:
    """A product Gaussian kernel density estimate, made by `Density.fit`.

    `points` `(n, d)` are the fitted points in units of the bandwidth, over the d objectives that vary; `scale` `(d,)`
    is the bandwidth in transformed units, `kept` `(m,)` says which objectives vary, `log` `(m,)` which are logarithmic,
    `zero` `(m,)` where their zeros are put. `fitted` `(n,)` is the density at the fitted points, `floor` its least value.
    """

    points: FloatArray
    scale: FloatArray
    kept: BoolArray
    log: BoolArray
    zero: FloatArray
    fitted: FloatArray
    floor: float

    @classmethod
    def fit(cls, points: ArrayLike, *, log: Sequence[bool]) -> "Density":
        """Fit to a population `(n, m)`; `log[j]` says that objective j is size-like and compared by its logarithm.

        Bandwidth per objective: its standard deviation times n^(-1/(d+4)) (Scott). Objectives without a spread are
        dropped. Raises: ValueError for values that are not finite, or negative where `log`.
        """
        values = as_points(points)
        flags, zero = log_flags(log, values), smallest_positive(values)
        transformed = log_scaled(values, flags, zero)
        n = len(values)
        if n < MINIMUM_POINTS:
            kept = np.zeros(values.shape[1], dtype=np.bool_)
        else:
            kept = np.ptp(transformed, axis=0) > ZERO_RANGE * np.abs(transformed).max(axis=0)
        dimensions = int(kept.sum())
        scott = n ** (-1 / (dimensions + 4)) if n else 1.0
        scale = transformed[:, kept].std(axis=0, ddof=1) * scott if dimensions else np.empty(0)
        scaled = transformed[:, kept] / scale
        fitted = _kernel_mean(scaled, scaled, scale)
        floor = FLOOR * float(fitted.min(initial=math.inf)) if n else 1.0
        return cls(points=scaled, scale=scale, kept=kept, log=flags, zero=zero, fitted=fitted, floor=floor)

    def evaluate(self, points: ArrayLike) -> FloatArray:
        """Density `(k,)` at `points` `(k, m)`, per unit of the transformed objectives, never below `floor`.

        1 everywhere if nothing varied over the population. Raises: ValueError as `fit`.
        """
        values = as_points(points)
        if values.shape[1] != len(self.kept):
            raise ValueError(f"the density was fitted to {len(self.kept)} objectives, got points of {values.shape[1]}")
        scaled = log_scaled(values, self.log, self.zero)[:, self.kept] / self.scale
        return np.maximum(_kernel_mean(scaled, self.points, self.scale), self.floor)


def inverse_density_probabilities(densities: ArrayLike) -> FloatArray:
    """Probabilities `(k,)` proportional to 1 / density, for k >= 1 densities, all positive.

    Raises: ValueError for densities that are not finite and positive.
    """
    values = np.asarray(densities, dtype=np.float64)
    if values.ndim != 1 or len(values) == 0 or not (np.isfinite(values) & (values > 0)).all():
        raise ValueError(f"expected at least one finite positive density, got {values}")
    weights = values.min() / values  # relative to the largest weight: 1 / density could overflow
    return np.asarray(weights / weights.sum(), dtype=np.float64)


def sample(probabilities: ArrayLike, count: int, *, replace: bool, rng: np.random.Generator) -> IntArray:
    """Draw `count` indices; without replacement each draw is among those left, and at most all of them come.

    LEMONADE draws parents with replacement and accepted children without ([Elsken2019]).
    """
    weights = np.asarray(probabilities, dtype=np.float64)
    size = count if replace else min(count, len(weights))
    return np.asarray(rng.choice(len(weights), size=size, replace=replace, p=weights), dtype=np.int64)


def _kernel_mean(queries: FloatArray, points: FloatArray, scale: FloatArray) -> FloatArray:
    """Mean over `points` `(n, d)` of a unit Gaussian at each of `queries` `(k, d)`, both in bandwidths."""
    if points.shape[1] == 0:
        return np.ones(len(queries))
    # |q - p|^2 = |q|^2 - 2 q p + |p|^2, in blocks that stay in the cache; about the centre, or the sum would cancel.
    centre = points.mean(axis=0)
    points, queries = points - centre, queries - centre
    halves = 0.5 * np.square(points).sum(axis=1)
    means = np.empty(len(queries))
    for start in range(0, len(queries), BLOCK):
        block = queries[start : start + BLOCK]
        exponents = block @ points.T
        exponents -= halves
        exponents -= 0.5 * np.square(block).sum(axis=1, keepdims=True)
        means[start : start + BLOCK] = np.exp(exponents, out=exponents).mean(axis=1)
    return np.asarray(means / float(np.prod(scale * math.sqrt(2 * math.pi))), dtype=np.float64)
