"""Networks from outside as a graph and its state: torch modules, exported programs, ONNX files, timm's models."""

from hwnas.importing.torch_export import import_module, import_program

__all__ = ["import_module", "import_program"]
