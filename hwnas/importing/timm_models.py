"""Models of timm by their names, where timm is installed."""

import difflib
import importlib
from dataclasses import dataclass
from typing import Any

from torch import nn

from hwnas.errors import ModelError


@dataclass(frozen=True, slots=True, kw_only=True)
class TimmModel:
    """A model as timm makes it, with random weights, and what its images are normalised by."""

    module: nn.Module
    normalisation: tuple[tuple[float, ...], tuple[float, ...]] | None


def timm_model(name: str) -> TimmModel:
    """The model of this name. Raises ModelError where timm is not there, or has no such model (naming the nearest)."""
    try:
        timm: Any = importlib.import_module("timm")
    except ImportError as error:
        raise ModelError(f"timm:{name} needs timm, which cannot be imported ({error}): pip install timm") from error
    known = timm.list_models()
    if not timm.is_model(name):
        nearest = ", ".join(difflib.get_close_matches(name, known, n=5, cutoff=0.5))
        raise ModelError(f"timm has no model {name!r}; {f'the nearest are {nearest}' if nearest else 'see timm.list_models()'}")
    module: nn.Module = timm.create_model(name, pretrained=False)
    settings = getattr(module, "pretrained_cfg", None) or {}
    mean, std = settings.get("mean"), settings.get("std")
    return TimmModel(module=module, normalisation=(tuple(mean), tuple(std)) if mean and std else None)
