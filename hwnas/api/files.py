"""What a user asked to have written: whole or not at all, and never over what is not ours.

A file is written beside its place and renamed, so that whatever stops the writing leaves what was there before. What lies there
already is replaced where it is an earlier output of the same kind, recognised by how it begins, or where the user says so.
"""

import json
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from hwnas.api.checking import PATH, checked
from hwnas.errors import RequestError
from hwnas.store.database import DATABASE

_HEAD_BYTES = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A kind of output: how a message calls it, what its files begin with, and its own place within a run's folder."""

    words: str
    begins: re.Pattern[bytes]
    in_run: str | None = None


REPORT = Kind(
    words="a report of hwnas", begins=re.compile(rb"<!DOCTYPE html>\s*<html.{0,200}?<title>hwnas: ", re.S), in_run="report.html"
)
COMPARISON = Kind(
    words="a comparison of hwnas", begins=re.compile(rb"<!DOCTYPE html>\s*<html.{0,200}?<title>hwnas compare: ", re.S)
)
PICTURE = Kind(
    words="a picture of hwnas report --static",
    begins=re.compile(rb"\x89PNG.{0,500}Software\0hwnas|<\?xml.{0,2000}<dc:title>hwnas</dc:title>", re.S),
)
PLOTS = Kind(
    words="a page of hwnas faults",
    begins=re.compile(rb"<!doctype html><html><head><meta charset='utf-8'><title>Faults</title>"),
    in_run="faults/faults.html",
)
ENSEMBLE = Kind(words="an ensemble of hwnas", begins=re.compile(rb"\x08.\x12\x0ehwnas ensemble", re.S))
FAULTS = Kind(words="a JSON file of hwnas faults", begins=re.compile(rb'\{\s*"settings": \{\s*"fault": '))
IMPORTED = Kind(words="a JSON file of hwnas import", begins=re.compile(rb'\{\s*"name": "[^\n]*\n\s*"shape": '))
MEASUREMENT = Kind(
    words="a JSON file of hwnas measure", begins=re.compile(rb'\{\s*"model": "[^\n]*\n\s*"device": "[^\n]*\n\s*"latency_ms": ')
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """A file to be written.

    ``reads`` are files that the command reads, which it never writes; ``replace``: the user wants whatever lies there gone.
    """

    path: Path
    kind: Kind
    reads: Sequence[Path] = ()
    replace: bool = False

    def refuse_unwritable(self) -> None:
        """Raise RequestError where it cannot or must not be written, before the work whose result it is to hold.

        Leaves nothing behind.
        """
        path = self.path
        with self._told():
            if not path.parent.is_dir():
                raise RequestError(f"cannot write {path}: there is no folder {path.parent}; make it, or choose another file")
            self._refuse_foreign()
            if _is_stream(path):
                return  # a pipe or a terminal: opening it might wait
            is_new = not os.path.lexists(path)
            path.open("ab").close()
            if is_new:
                path.unlink()
            beside = _beside(_real(path))
            beside.open("xb").close()
            beside.unlink()

    def refuse_foreign(self) -> None:
        """Raise RequestError where something lies there that the user may want to keep."""
        with self._told():
            self._refuse_foreign()

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise RequestError(f"cannot write {self.path}: {error.strerror}; choose another file") from error

    def _refuse_foreign(self) -> None:
        place = _real(self.path)
        if any(place == _real(read) for read in self.reads):
            raise RequestError(f"cannot write {self.path}: this command reads it; choose another file")
        run = next((folder for folder in place.parents if (folder / DATABASE).exists()), None)
        if run is not None and place.relative_to(run).as_posix() != self.kind.in_run:
            raise RequestError(f"cannot write {self.path}: the folder {run} is for a run's own files; choose another place")
        if self.replace or _is_stream(place) or not place.is_file() or self._is_ours(place):
            return
        raise RequestError(
            f"cannot write {self.path}: it exists and is not {self.kind.words}; choose another file, or say --replace"
        )

    def _is_ours(self, place: Path) -> bool:
        with place.open("rb") as file:
            head = file.read(_HEAD_BYTES)
        return not head or self.kind.begins.match(head) is not None

    def write_text(self, text: str) -> None:
        """Write the file and the folders above it. Raises RequestError where that cannot or must not be done."""
        self.write_bytes(text.encode(errors="backslashreplace"))  # a file name may hold bytes that are no UTF-8

    def write_bytes(self, content: bytes) -> None:
        """Write the file and the folders above it. Raises RequestError as ``write_text`` does."""
        with self._told():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._refuse_foreign()
            if _is_stream(self.path):
                self.path.write_bytes(content)
            else:
                _replace(_real(self.path), content)

    def write_json(self, content: object) -> None:
        """Write what JSON can hold, all numbers finite. Raises RequestError as ``write_text`` does."""
        self.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n")


def report_of(folder: Path, out: str | os.PathLike[str] | None, *, replace: bool) -> Output:
    """Where the page of a run is to be written. Raises RequestError where it must not be."""
    output = Output(path=folder / "report.html" if out is None else Path(out), kind=REPORT, replace=replace)
    output.refuse_foreign()
    return output


def _real(path: Path) -> Path:
    """The path behind all links; a loop of links stays, where ``Path.resolve`` of Python 3.11 raises a RuntimeError."""
    return Path(os.path.realpath(path))


def _is_stream(path: Path) -> bool:
    return path.exists() and not path.is_file() and not path.is_dir()


def _beside(place: Path) -> Path:
    return place.with_name(f".hwnas-{uuid4().hex}.tmp")


def _replace(place: Path, content: bytes) -> None:
    beside = _beside(place)
    try:
        with beside.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if place.is_file():
            beside.chmod(place.stat().st_mode)
        beside.replace(place)
    finally:
        with suppress(FileNotFoundError):
            beside.unlink()


@checked(path=PATH)
def is_run(path: str | os.PathLike[str]) -> bool:
    """Whether a folder holds a run."""
    return (Path(path) / DATABASE).is_file()
