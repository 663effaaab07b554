"""The few names that timm wants of torchvision, where that cannot be imported: timm's models need none of them to be built."""

import importlib.util
import sys
from types import ModuleType

from torch import nn


class _Named(type):
    def __getattr__(cls, name: str) -> str:
        if name.startswith("__"):
            raise AttributeError(name)
        return name


class _Absent(metaclass=_Named):
    """Anything of torchvision that timm names and no model here calls."""

    def __init__(self, *_: object, **__: object) -> None:
        raise RuntimeError("torchvision is not there, and a stand-in for it was called")


class _Module(ModuleType):
    def __getattr__(self, name: str) -> object:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Absent


def import_timm() -> ModuleType:
    """timm, which is imported without torchvision where that is not there; nobody else is to find the stand-in."""
    if importlib.util.find_spec("torchvision") is None:
        _stand_in()
    try:
        return importlib.import_module("timm")
    finally:
        for name in [name for name, module in sys.modules.items() if isinstance(module, _Module)]:
            del sys.modules[name]


def _stand_in() -> None:
    names = ["", ".models", ".models.feature_extraction", ".ops", ".ops.misc", ".transforms", ".transforms.functional"]
    names += [".datasets", ".utils"]
    for name in names:
        module = _Module(f"torchvision{name}")
        module.__path__ = []
        sys.modules[f"torchvision{name}"] = module
    sys.modules["torchvision.ops.misc"].FrozenBatchNorm2d = type("FrozenBatchNorm2d", (nn.Module,), {})  # type: ignore[attr-defined]
    for name in names[1:]:
        parent, _, child = f"torchvision{name}".rpartition(".")
        setattr(sys.modules[parent], child, sys.modules[f"torchvision{name}"])
