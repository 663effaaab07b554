"""A campaign on disk: a JSON line that says what it is of, then a line for each fault, synced batch by batch."""

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from hwnas.errors import ConfigError, StoreError

NOT_COMPARED = {
    # Version 8 hashed what a network computes as Python printed it, which no later version can repeat. Its weights, the images
    # and the settings are compared all the same, and the campaigns of a run's network lie under its id.
    "hwnas faults 8": frozenset({"campaign", "function_sha256"}),
}


class Journal:
    """Rows of one campaign, those of earlier sessions included; ``path`` None keeps them in memory only."""

    def __init__(self, path: Path | None, header: Mapping[str, Any]) -> None:
        """Go on with the file or start it.

        Raises ConfigError where the file is of another model, data set or campaign, or cannot be written; it is left as it is.
        """
        self._path = path
        self.rows: list[dict[str, Any]] = []
        if path is None:
            return
        expected = json.loads(json.dumps(header))
        line = (json.dumps(expected) + "\n").encode()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if not path.exists():
                with path.open("xb") as file:  # of two campaigns begun together one fails here, and loses nothing
                    file.write(line)
            if not path.is_file():  # a pipe would keep us waiting
                raise ConfigError(f"{path} is no campaign file, nor any file; move it away to start anew")
            content = path.read_bytes()
            if content != line and line.startswith(content):  # stopped before the first line was on the disk
                content = line
                path.write_bytes(content)
            self._size = self._read(path, content, expected)
            if self._size < len(content):  # a line that was being written when the campaign was stopped
                os.truncate(path, self._size)
        except OSError as error:
            raise ConfigError(f"cannot write the campaign file {path}: {error.strerror}") from error

    def append(self, rows: Iterable[Mapping[str, Any]], *, last: bool = True) -> None:
        """Keep rows: whatever becomes of this process, and behind the ``last`` of a batch of the machine, too.

        Raises StoreError where they cannot be written, or another process wrote to the file: both draw the same faults.
        """
        new = [dict(row) for row in rows]
        if self._path is not None:
            text = "".join(json.dumps(row, allow_nan=False) + "\n" for row in new).encode()
            try:
                with self._path.open("ab") as file:
                    if file.tell() != self._size:
                        raise StoreError(
                            f"another process writes {self._path}, too; wait until it is done, then the same command goes on"
                        )
                    file.write(text)
                    file.flush()
                    if last:  # takes longer than a trial of a small network
                        os.fsync(file.fileno())
            except OSError as error:
                raise StoreError(
                    f"cannot write the campaign file {self._path}: {error.strerror}; what was written is kept"
                ) from error
            self._size += len(text)
        self.rows += new

    def _read(self, path: Path, content: bytes, expected: Mapping[str, Any]) -> int:
        """Take the rows in; gives how many bytes are whole lines."""
        complete = content[: content.rfind(b"\n") + 1]
        try:
            lines = [json.loads(line) for line in complete.splitlines()]
        except ValueError as error:
            raise ConfigError(f"{path} is not a campaign file: {error}; move it away to start anew") from error
        if not lines or not all(isinstance(line, dict) for line in lines):
            raise ConfigError(f"{path} is not a campaign file: its lines are no JSON objects; move it away to start anew")
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
            raise ConfigError(f"{path} is the file of {what} ({', '.join(different)} differ); move it away to start anew")
        self.rows = lines[1:]
        return len(complete)
