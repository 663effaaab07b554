"""Latency without a device."""

from hwnas.estimate.predictor import LatencyPredictor

__all__ = ["LatencyPredictor"]
