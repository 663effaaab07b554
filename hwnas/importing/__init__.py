"""Networks from outside as a graph and its state: torch modules, exported programs, ONNX files, timm's models."""

from hwnas.importing.source import Given, ImportedNetwork, NetworkSource, is_source_name, network_of, shape_of
from hwnas.importing.taken import Normalisation, Parity, parity
from hwnas.importing.torch_export import import_module

__all__ = [
    "Given",
    "ImportedNetwork",
    "NetworkSource",
    "Normalisation",
    "Parity",
    "import_module",
    "is_source_name",
    "network_of",
    "parity",
    "shape_of",
]
