"""Models of timm by their names, where timm is installed."""

import difflib
import importlib
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from hwnas.errors import ModelError
from hwnas.importing.taken import Normalisation


@dataclass(frozen=True, slots=True, kw_only=True)
class TimmModel:
    """A model as timm makes it, with random weights, what its images are normalised by, and their shape (C, H, W)."""

    module: nn.Module
    normalisation: Normalisation | None
    shape: tuple[int, ...] | None = None


def timm_model(name: str) -> TimmModel:
    """The model of this name. Raises ModelError where timm is not there, or has no such model (naming the nearest)."""
    timm = _timm(name)
    known = timm.list_models()
    if not timm.is_model(name):
        nearest = ", ".join(difflib.get_close_matches(name, known, n=5, cutoff=0.5))
        raise ModelError(f"timm has no model {name!r}; {f'the nearest are {nearest}' if nearest else 'see timm.list_models()'}")
    module: nn.Module = timm.create_model(name, pretrained=False)
    settings = getattr(module, "pretrained_cfg", None) or {}
    mean, std = settings.get("mean"), settings.get("std")
    normalisation = (tuple(mean), tuple(std)) if mean and std else None
    size = settings.get("input_size")
    return TimmModel(module=module, normalisation=normalisation, shape=tuple(size) if size else None)


def _timm(name: str) -> Any:
    """The package. Raises ModelError where it is not there, or cannot be imported, as with a torchvision for another torch."""
    try:
        return importlib.import_module("timm")
    except ModuleNotFoundError as error:
        missing = error.name or "timm"
        raise ModelError(f"timm:{name} needs the package {missing}, which is not installed: pip install {missing}") from error
    except Exception as error:  # a torchvision that was built for another torch raises a RuntimeError
        raise ModelError(
            f"timm:{name} needs timm, which is installed and cannot be imported ({type(error).__name__}: {error}); install the "
            f"torchvision that belongs to torch {torch.__version__}, from the index that torch came from: "
            "pip install --force-reinstall --no-deps torchvision"
        ) from error
