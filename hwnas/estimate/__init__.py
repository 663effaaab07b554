"""What is known without measuring or training: latencies and expected changes predicted from a run's own, or computed."""

from hwnas.estimate.accelerator import Accelerator
from hwnas.estimate.change import ChangePredictor
from hwnas.estimate.predictor import LatencyPredictor, leave_one_out
from hwnas.estimate.report import PredictorReport, prediction_errors, rank_correlation

__all__ = [
    "Accelerator",
    "ChangePredictor",
    "LatencyPredictor",
    "PredictorReport",
    "leave_one_out",
    "prediction_errors",
    "rank_correlation",
]
