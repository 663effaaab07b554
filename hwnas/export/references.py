"""The stored inputs of a bundle and the logits that its files must give for them."""

from pathlib import Path

from safetensors import SafetensorError
from safetensors.numpy import load

from hwnas.errors import ModelError
from hwnas.export.manifest import REFERENCES, sha256
from hwnas.export.parity import Array


def read_references(folder: Path, expected: str) -> dict[str, Array]:
    """``images`` (n, C, H, W) and ``logits/<file>`` (n, classes) by name. Raises ModelError where the hash is not as expected."""
    path = folder / REFERENCES
    try:
        content = path.read_bytes() if path.is_file() else b""
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror}; check its permissions") from error
    if sha256(content) != expected:
        raise ModelError(f"{path} is missing or was changed since the export; export the bundle again")
    try:
        return dict(load(content))
    except SafetensorError as error:
        raise ModelError(f"{path} cannot be read: {error}; export the bundle again") from error
