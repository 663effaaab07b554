"""A campaign on disk: a JSON line that says what it is of, then a line for each fault, synced batch by batch."""

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from hwnas.errors import ConfigError, StoreError

NOT_COMPARED = {
    # Version 8 hashed what a network computes as Python printed it, which no later version can repeat. Its weights, the images
    # and the settings are compared all the same, and the campaigns of a run's network lie under its id.
    "hwnas faults 8": frozenset({"campaign", "function_sha256"}),
}


@contextmanager
def opened(path: Path | None, header: Mapping[str, Any]) -> Iterator["Journal"]:
    """A campaign's journal, which no other process writes meanwhile: go on with the file, or start it.

    Raises StoreError where another process writes it, and ConfigError where the file is of another model, data set or campaign,
    or cannot be written; it is left as it is.
    """
    if path is None:
        yield Journal(None, header)
        return
    lock = FileLock(f"{path}.lock", timeout=0)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout as error:
        raise StoreError(
            f"another process writes {path}, too; wait until it is done, then the same command reads what it found"
        ) from error
    except OSError as error:
        raise _cannot_write(path, error) from error
    try:
        yield Journal(path, header)
    finally:
        lock.release()


class Journal:
    """Rows of one campaign, those of earlier sessions included; ``path`` None keeps them in memory only."""

    def __init__(self, path: Path | None, header: Mapping[str, Any]) -> None:
        self._path = path
        self.rows: list[dict[str, Any]] = []
        if path is None:
            return
        expected = json.loads(json.dumps(header))
        line = (json.dumps(expected) + "\n").encode()
        try:
            if not path.exists():
                path.write_bytes(line)
            if not path.is_file():  # a pipe would keep us waiting
                raise ConfigError(f"{path} is no campaign file, nor any file; move it away to start again")
            content = path.read_bytes()
            if content != line and line.startswith(content):  # stopped before the first line was on the disk
                content = line
                path.write_bytes(content)
            size = self._read(path, content, expected)
            if size < len(content):  # a line that was being written when the campaign was stopped
                os.truncate(path, size)
        except OSError as error:
            raise _cannot_write(path, error) from error

    def append(self, rows: Iterable[Mapping[str, Any]], *, last: bool = True) -> None:
        """Keep rows: whatever becomes of this process, and behind the ``last`` of a batch of the machine, too.

        Raises StoreError where they cannot be written.
        """
        new = [dict(row) for row in rows]
        if self._path is not None:
            text = "".join(json.dumps(row, allow_nan=False) + "\n" for row in new).encode()
            try:
                with self._path.open("ab") as file:
                    file.write(text)
                    file.flush()
                    if last:  # takes longer than a trial of a small network
                        os.fsync(file.fileno())
            except OSError as error:
                raise StoreError(
                    f"cannot write the campaign file {self._path}: {error.strerror}; what was written is kept"
                ) from error
        self.rows += new

    def _read(self, path: Path, content: bytes, expected: Mapping[str, Any]) -> int:
        """Take the rows in; gives how many bytes are whole lines."""
        complete = content[: content.rfind(b"\n") + 1]
        try:
            lines = [json.loads(line) for line in complete.splitlines()]
        except ValueError as error:
            raise ConfigError(f"{path} is not a campaign file: {error}; move it away to start again") from error
        if not lines or not all(isinstance(line, dict) for line in lines):
            raise ConfigError(f"{path} is not a campaign file: its lines are no JSON objects; move it away to start again")
        compared = (expected.keys() | lines[0].keys()) - NOT_COMPARED.get(lines[0].get("campaign"), frozenset())
        different = sorted(name for name in compared if expected.get(name) != lines[0].get(name))
        if different:
            known = {
                "campaign": "another version of hwnas",
                "memory_sha256": "another model",
                "function_sha256": "another model",
                "data_sha256": "another data set",
            }
            what = next((words for name, words in known.items() if name in different), "another campaign")
            raise ConfigError(f"{path} is the file of {what} ({', '.join(different)} differ); move it away to start again")
        self.rows = lines[1:]
        return len(complete)


def _cannot_write(path: Path, error: OSError) -> ConfigError:
    return ConfigError(f"cannot write the campaign file {path}: {error.strerror}")
