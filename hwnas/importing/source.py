"""What names a network from outside, and the network that it names."""

import os
import traceback
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

import torch
from torch import nn
from torch.export import ExportedProgram

from hwnas.errors import ModelError
from hwnas.graph import Graph
from hwnas.importing.head import with_new_head
from hwnas.importing.onnx_file import import_onnx
from hwnas.importing.timm_models import timm_model
from hwnas.importing.torch_export import import_module, import_program
from hwnas.importing.weights import PICKLES, load_weights, refuse_pickle
from hwnas.network import State
from hwnas.settings.reference import resolve

Normalisation: TypeAlias = tuple[tuple[float, ...], tuple[float, ...]]  # mean and standard deviation of each channel
Given: TypeAlias = str | os.PathLike[str] | nn.Module | ExportedProgram
FORMS = "PACKAGE.MODULE:FACTORY, MODEL.onnx, MODEL.pt2 (torch.export.save) or timm:NAME"


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkSource:
    """Where a network is taken from: a torch module, an exported program, a path, or a name (``FORMS``).

    ``weights`` is a safetensors file with the tensors of a torch module by their names.
    """

    given: Given
    weights: str | os.PathLike[str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedNetwork:
    """A network from outside. ``is_new``: its head was replaced for other classes, so it has to be trained.

    ``normalisation`` is what its images are normalised by, where the source says so.
    """

    name: str
    graph: Graph
    state: State
    is_new: bool = False
    normalisation: Normalisation | None = None


def network_of(source: NetworkSource, *, channels: int, height: int, width: int, classes: int | None = None) -> ImportedNetwork:
    """The network that a source names, for images of this size; its head is replaced where it has not as many ``classes``.

    Raises ModelError.
    """
    size = {"channels": channels, "height": height, "width": width}
    taken = _taken(source, size)
    if classes is None or taken.graph.classes == classes:
        return taken
    graph, state = with_new_head(taken.graph, taken.state, classes)
    return replace(taken, graph=graph, state=state, is_new=True)


def _taken(source: NetworkSource, size: dict[str, int]) -> ImportedNetwork:
    given = source.given
    if isinstance(given, nn.Module):
        return _of_module(given, type(given).__name__, source, size)
    if isinstance(given, ExportedProgram):
        return _of_program(given, "the exported program", source, size)
    name = os.fspath(given)
    if name.startswith("timm:"):
        model = timm_model(name.removeprefix("timm:"))
        return replace(_of_module(model.module, name, source, size), normalisation=model.normalisation)
    suffix = Path(name).suffix.lower()
    if suffix in PICKLES:
        refuse_pickle(Path(name))
    if suffix == ".onnx":
        _refuse_weights(source, "an ONNX file")
        graph, state, normalisation = import_onnx(Path(name), **size)
        return ImportedNetwork(name=name, graph=graph, state=state, normalisation=normalisation)
    if suffix == ".pt2":
        return _of_program(_loaded(Path(name)), name, source, size)
    if ":" in name:
        return _of_module(_made(name), name, source, size)
    raise ModelError(f"expected a network as {FORMS}, got {name!r}")


def _of_module(module: nn.Module, name: str, source: NetworkSource, size: dict[str, int]) -> ImportedNetwork:
    if source.weights is not None:
        load_weights(module, Path(source.weights))
    graph, state = import_module(module, **size)
    return ImportedNetwork(name=name, graph=graph, state=state)


def _of_program(program: ExportedProgram, name: str, source: NetworkSource, size: dict[str, int]) -> ImportedNetwork:
    _refuse_weights(source, "an exported program")
    graph, state = import_program(program, **size)
    return ImportedNetwork(name=name, graph=graph, state=state)


def _refuse_weights(source: NetworkSource, what: str) -> None:
    if source.weights is not None:
        raise ModelError(f"{what} holds its own weights; leave out {source.weights}")


def _loaded(path: Path) -> ExportedProgram:
    if not path.is_file():
        raise ModelError(f"there is no file {path}")
    try:
        return torch.export.load(path)
    except Exception as error:  # of a damaged file torch raises whatever its reader comes upon
        raise ModelError(f"{path} is no exported program that torch {torch.__version__} can read: {error}") from error


def _made(name: str) -> nn.Module:
    """The module that ``package.module:factory`` is, or gives when it is called. Raises ModelError."""
    found = resolve(name)
    if isinstance(found, nn.Module):
        return found
    if not callable(found):
        raise ModelError(f"{name} is a {type(found).__name__}; expected a torch module, or a function that makes one")
    try:
        made = found()
    except Exception as error:  # the user's own code
        line = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{Path(line.filename).name}:{line.lineno}"
        raise ModelError(
            f"{name} raised {type(error).__name__}: {error} ({where}); expected a function without arguments that makes a module"
        ) from error
    if not isinstance(made, nn.Module):
        raise ModelError(f"{name} gave a {type(made).__name__}; expected a torch module")
    return made
