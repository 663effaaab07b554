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
from hwnas.importing.taken import Normalisation, Taken
from hwnas.importing.timm_models import timm_model
from hwnas.importing.torch_export import image_shape, take_module, take_program
from hwnas.importing.weights import PICKLES, load_weights, refuse_pickle
from hwnas.network import State
from hwnas.settings.reference import resolve

Given: TypeAlias = str | os.PathLike[str] | nn.Module | ExportedProgram
PROGRAM, ONNX = ".pt2", ".onnx"
FORMS = "PACKAGE.MODULE:FACTORY, MODEL.onnx, MODEL.pt2 (torch.export.save) or timm:NAME"


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkSource:
    """Where a network is taken from: a torch module, an exported program, a path, or a name (``FORMS``).

    ``weights`` is a safetensors file with the tensors of a torch module by their names.
    """

    given: Given
    weights: str | os.PathLike[str] | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.given, nn.Module | ExportedProgram | str | os.PathLike):
            raise ModelError(f"expected a torch module, an exported program, or {FORMS}, got {self.given!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedNetwork:
    """A network from outside. ``is_new``: its head was replaced for other classes, so it has to be trained.

    ``taken`` is the network before that, with what its source says of it.
    """

    name: str
    graph: Graph
    state: State
    taken: Taken
    is_new: bool = False

    @property
    def normalisation(self) -> Normalisation | None:
        """What its images are normalised by, where the source says so."""
        return self.taken.normalisation

    @property
    def names(self) -> dict[str, str]:
        """The source's own names of the graph's tensors; those of a new head have none."""
        before, now = self.taken.graph.tensors(), self.graph.tensors()
        return {name: own for name, own in self.taken.names.items() if now.get(name) == before[name]}


def network_of(source: NetworkSource, *, channels: int, height: int, width: int, classes: int | None = None) -> ImportedNetwork:
    """The network that a source names, for images of this size; its head is replaced where it has not as many ``classes``.

    Raises ModelError.
    """
    name, taken = _taken(source, {"channels": channels, "height": height, "width": width})
    if classes is None or taken.graph.classes == classes:
        return ImportedNetwork(name=name, graph=taken.graph, state=taken.state, taken=taken)
    graph, state = with_new_head(taken.graph, taken.state, classes)
    return ImportedNetwork(name=name, graph=graph, state=state, taken=taken, is_new=True)


def is_source_name(text: str) -> bool:
    """Whether a text has the form of what names a network from outside (``FORMS``), be there one or not."""
    return ":" in text or Path(text).suffix.lower() in {PROGRAM, ONNX, *PICKLES}


def shape_of(source: NetworkSource) -> tuple[int, ...] | None:
    """The shape (C, H, W) of the images that a source itself says it takes; None where it does not. Raises ModelError."""
    given = source.given
    if isinstance(given, nn.Module):
        return None
    if not isinstance(given, ExportedProgram):
        name = os.fspath(given)
        if name.startswith("timm:"):
            return timm_model(name.removeprefix("timm:")).shape
        suffix = Path(name).suffix.lower()
        if suffix == ONNX:
            from hwnas.importing.onnx_file import onnx_shape  # loads scipy, which most searches have no need of

            return onnx_shape(Path(name))
        if suffix != PROGRAM:
            return None
        given = _loaded(Path(name))
    sizes = [size for size in image_shape(given)[1:] if size is not None]
    return tuple(sizes) if len(sizes) == 3 else None


def _taken(source: NetworkSource, size: dict[str, int]) -> tuple[str, Taken]:
    """What the source is called, and its network."""
    given = source.given
    if isinstance(given, nn.Module):
        return type(given).__name__, _of_module(given, source, size)
    if isinstance(given, ExportedProgram):
        return "the exported program", _of_program(given, source, size)
    name = os.fspath(given)
    if name.startswith("timm:"):
        model = timm_model(name.removeprefix("timm:"))
        return name, replace(_of_module(model.module, source, size), normalisation=model.normalisation)
    suffix = Path(name).suffix.lower()
    if suffix in PICKLES:
        refuse_pickle(Path(name))
    if suffix == ONNX:
        _refuse_weights(source, "an ONNX file")
        from hwnas.importing.onnx_file import take_onnx

        return name, take_onnx(Path(name), **size)
    if suffix == PROGRAM:
        return name, _of_program(_loaded(Path(name)), source, size)
    if ":" in name:
        return name, _of_module(_made(name), source, size)
    raise ModelError(f"expected a network as {FORMS}, got {name!r}")


def _of_module(module: nn.Module, source: NetworkSource, size: dict[str, int]) -> Taken:
    if source.weights is not None:
        load_weights(module, Path(source.weights))
    return take_module(module, **size)


def _of_program(program: ExportedProgram, source: NetworkSource, size: dict[str, int]) -> Taken:
    _refuse_weights(source, "an exported program")
    return take_program(program, **size)


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
