"""Trained networks as ONNX files."""

from hwnas.export.deploy import Deployed, deploy
from hwnas.export.emit import class_names, emit

__all__ = ["Deployed", "class_names", "deploy", "emit"]
