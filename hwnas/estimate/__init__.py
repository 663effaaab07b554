"""Latency without a device: predicted from a run's own measurements, or from an accelerator's numbers."""

from hwnas.estimate.accelerator import Accelerator
from hwnas.estimate.predictor import LatencyPredictor, leave_one_out
from hwnas.estimate.report import PredictorReport

__all__ = ["Accelerator", "LatencyPredictor", "PredictorReport", "leave_one_out"]
