"""What a user asked to have written."""

import json
import os
from pathlib import Path

from hwnas.errors import RequestError


def refuse_unwritable(path: Path) -> None:
    """Raise RequestError where a file cannot be written, before the work whose result it is to hold; leaves nothing behind."""
    if not path.parent.is_dir():
        raise RequestError(f"cannot write {path}: there is no folder {path.parent}; make it, or choose another file")
    is_new = not os.path.lexists(path)
    if not is_new and not path.is_file() and not path.is_dir():
        return  # a pipe or a terminal: opening it might wait
    try:
        path.open("ab").close()
        if is_new:
            path.unlink()
    except OSError as error:
        raise RequestError(f"cannot write {path}: {error.strerror}; choose another file") from error


def write_text(path: Path, text: str) -> None:
    """Write a text file and the folders above it. Raises RequestError where that cannot be done."""
    content = text.encode(errors="backslashreplace")  # a file name may hold bytes that are no UTF-8
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    except OSError as error:
        raise RequestError(f"cannot write {path}: {error.strerror}; choose another file") from error


def write_json(path: Path, content: object) -> None:
    """Write what JSON can hold, all numbers finite. Raises RequestError as ``write_text`` does."""
    write_text(path, json.dumps(content, indent=1, allow_nan=False) + "\n")
