"""How good a latency predictor was on networks that it had not seen."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


def median_error(predicted: Sequence[float], known: Sequence[float]) -> float | None:
    """The median of |predicted - known| / known, of positive values (n,); None of no networks."""
    if not known:
        return None
    truth = np.array(known)
    return float(np.median(np.abs(np.array(predicted) - truth) / truth))


def rank_correlation(predicted: Sequence[float], known: Sequence[float]) -> float | None:
    """Spearman's rank correlation of values (n,); None of fewer than 3 networks, or where all values are alike."""
    if len(known) < 3 or min(len(set(predicted)), len(set(known))) == 1:
        return None
    from hwnas.resilience import spearman  # the package loads scipy, which a run that predicts nothing has no need of

    correlation = spearman(np.array(predicted), np.array(known), np.empty((len(known), 0)))
    return correlation if math.isfinite(correlation) else None


def prediction_errors(predicted: Sequence[float], known: Sequence[float]) -> dict[str, float | int | None]:
    """Both errors and over how many networks, as events keep them and ``hwnas.report.predictor`` reads them."""
    return {
        "networks": len(known),
        "median_error": median_error(predicted, known),
        "spearman": rank_correlation(predicted, known),
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictorReport:
    """Latencies predicted out of sample, and measured, in ms, both (n,) and positive.

    ``of`` says how: ``generation`` for children that were predicted before they were measured, ``leave_one_out`` for the initial
    networks; ``fingerprint_sha256`` on which device, None of several generations, and as an older version kept it. The median
    absolute error is a share of the measured value; the rank correlation is None where it does not exist.
    """

    of: str
    predicted_ms: tuple[float, ...]
    measured_ms: tuple[float, ...]
    fingerprint_sha256: str | None = None

    @classmethod
    def pooled(cls, reports: Sequence["PredictorReport"]) -> "PredictorReport":
        """Several generations as one."""
        return cls(
            of="+".join(dict.fromkeys(report.of for report in reports)),
            predicted_ms=tuple(value for report in reports for value in report.predicted_ms),
            measured_ms=tuple(value for report in reports for value in report.measured_ms),
        )

    @property
    def median_error(self) -> float | None:
        """The median of |predicted - measured| / measured; None of no networks."""
        return median_error(self.predicted_ms, self.measured_ms)

    @property
    def spearman(self) -> float | None:
        """Spearman's rank correlation; None of fewer than 3 networks, or where all values are alike."""
        return rank_correlation(self.predicted_ms, self.measured_ms)

    def as_text(self) -> str:
        """Both figures in words, out of sample."""
        median = "unknown" if self.median_error is None else f"{self.median_error:.1%}".replace("%", " %")
        rank = "unknown" if self.spearman is None else f"{self.spearman:.2f}"
        return f"median error {median}, Spearman {rank} ({len(self.measured_ms)} networks, out of sample)"

    def to_json(self) -> dict[str, Any]:
        """The fields and what follows from them, as a plain dict for JSON."""
        return {
            "of": self.of,
            "predicted_ms": list(self.predicted_ms),
            "measured_ms": list(self.measured_ms),
            "median_error": self.median_error,
            "spearman": self.spearman,
            "fingerprint_sha256": self.fingerprint_sha256,
        }
