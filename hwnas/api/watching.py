"""A run's page, kept current while a search writes the run."""

import math
import os
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from hwnas.config import seconds
from hwnas.errors import ConfigError
from hwnas.store import RunStore
from hwnas.store.campaigns import FIGURES
from hwnas.store.database import DATABASE

if TYPE_CHECKING:
    from hwnas.api.run import Run

LEAST_S = 1.0
INTERRUPTED = "nobody writes it: it was interrupted, or has not begun"
Write = Callable[[float | None], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Writer:
    """What a run knows of the process that opened it last for writing."""

    pid: int
    host: str


def interval_of(every: str | float) -> float:
    """The seconds between two looks at a run, such as 10 or "10s". Raises ConfigError for less than a second."""
    found = seconds(every)
    if found < LEAST_S:
        raise ConfigError(f"every must be at least {LEAST_S:g}s, got {every}; try 10s")
    return found


def watch(run: "Run", write: Write, every_s: float, sleep: Callable[[float], None] = time.sleep) -> str:
    """Call ``write`` whenever the run has changed, until it has ended or nobody writes it any more; gives why.

    ``write`` takes the seconds after which the page loads itself again; None with the last page, which stays as it is. That one
    is written behind a Ctrl-C, too.
    """
    seen: object = None
    try:
        while (reason := _why_over(run)) is None:
            now = _stamp(run.folder)
            if now != seen:
                write(math.ceil(every_s))
                seen = now
            sleep(every_s)
    finally:
        write(None)
    return reason


def _why_over(run: "Run") -> str | None:
    return run.ended() or (None if is_at_work(run.folder) else INTERRUPTED)


def is_at_work(folder: Path) -> bool:
    """Whether the process that opened the run last for writing still lives; one on another machine is taken to do so."""
    with RunStore.open(folder, write=False) as store:
        writer: _Writer | None = store.find_meta("writer", _Writer)
        started = store.last_event("started")
    if writer is None:
        return False
    if writer.host != socket.gethostname():
        return True
    try:
        begun_at = psutil.Process(writer.pid).create_time()
    except psutil.Error:
        return False
    return started is None or begun_at <= started.at + 1.0  # a later process has got the number of one that is gone


def _stamp(folder: Path) -> object:
    """What changes whenever something is written to a run."""
    files = [folder / DATABASE, folder / f"{DATABASE}-wal", *sorted((folder / FIGURES).glob("*.json"))]
    return [(path.name, found.st_mtime_ns, found.st_size) for path in files if (found := _stat(path))]


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except FileNotFoundError:
        return None
