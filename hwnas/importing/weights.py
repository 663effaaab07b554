"""A torch module's weights from a safetensors file; a pickle, which may run any code, is refused."""

from pathlib import Path
from typing import NoReturn

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from hwnas.errors import ModelError

PICKLES = (".pt", ".pth", ".pkl", ".pickle", ".bin", ".ckpt", ".tar")
FORGOTTEN = "num_batches_tracked"  # a counter that no network needs
SHOWN = 5


def load_weights(module: nn.Module, path: Path) -> None:
    """Give a module the tensors of a file. Raises ModelError unless it has exactly the module's names and shapes."""
    if path.suffix.lower() in PICKLES:
        refuse_pickle(path)
    if not path.is_file():
        raise ModelError(f"there is no file {path}")
    try:
        given = load_file(path)
    except (SafetensorError, OSError) as error:
        raise ModelError(f"expected weights in safetensors format, {path} is not: {error}") from error
    own = module.state_dict()
    missing = sorted(name for name in own.keys() - given.keys() if not name.endswith(FORGOTTEN))
    unknown = sorted(name for name in given.keys() - own.keys() if not name.endswith(FORGOTTEN))
    other = sorted(name for name in own.keys() & given.keys() if own[name].shape != given[name].shape)
    problems = [f"{len(names)} {what} ({_some(names)})" for names, what in ((missing, "missing"), (unknown, "unknown")) if names]
    if other:
        shapes = [f"{name} {tuple(given[name].shape)} instead of {tuple(own[name].shape)}" for name in other]
        problems.append(f"{len(other)} of another shape ({_some(shapes)})")
    if problems:
        raise ModelError(f"the weights in {path} do not fit the module: {'; '.join(problems)}")
    module.load_state_dict({name: given.get(name, tensor) for name, tensor in own.items()})


def refuse_pickle(path: Path) -> NoReturn:
    """Raise ModelError that says how to convert a pickle."""
    raise ModelError(
        f"{path} is a pickle, which may run any code when it is read; convert it where you trust it: "
        f'safetensors.torch.save_file(torch.load("{path.name}", weights_only=True), "{path.stem}.safetensors")'
    )


def _some(names: list[str]) -> str:
    return ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")
