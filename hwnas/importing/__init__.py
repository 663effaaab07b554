"""Networks from outside as a graph and its state: torch modules, exported programs, ONNX files, timm's models."""

from hwnas.importing.source import Given, ImportedNetwork, NetworkSource, Normalisation, network_of
from hwnas.importing.torch_export import import_module, import_program

__all__ = ["Given", "ImportedNetwork", "NetworkSource", "Normalisation", "import_module", "import_program", "network_of"]
