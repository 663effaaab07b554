"""Fault simulators: a network in a stored format whose bits are changed, and what it predicts then, as a full pass would."""

from hwnas.injection.from_onnx import from_onnx
from hwnas.injection.predictions import DUE, FaultEffect, Predictions, effect
from hwnas.injection.qdq import QdqSimulator, QdqTarget
from hwnas.injection.simulator import FastSimulator, NaiveSimulator, Upset
from hwnas.injection.target import FaultSimulator, FaultTarget, TorchTarget

__all__ = [
    "DUE",
    "FastSimulator",
    "FaultEffect",
    "FaultSimulator",
    "FaultTarget",
    "NaiveSimulator",
    "Predictions",
    "QdqSimulator",
    "QdqTarget",
    "TorchTarget",
    "Upset",
    "effect",
    "from_onnx",
]
