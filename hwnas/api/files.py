"""What a user asked to have written."""

import json
from pathlib import Path

from hwnas.errors import RequestError


def write_text(path: Path, text: str) -> None:
    """Write a text file and the folders above it. Raises RequestError where that cannot be done."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise RequestError(f"cannot write {path}: {error.strerror}; choose another file") from error


def write_json(path: Path, content: object) -> None:
    """Write what JSON can hold, all numbers finite. Raises RequestError as ``write_text`` does."""
    write_text(path, json.dumps(content, indent=1, allow_nan=False) + "\n")
