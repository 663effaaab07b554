"""Which malloc the local workers load: with tcmalloc small networks train 1.3 times as fast as with glibc's."""

import contextlib
import ctypes.util
import logging
import os
import sys
import threading
from collections.abc import Iterator
from multiprocessing.context import SpawnContext, SpawnProcess
from pathlib import Path
from typing import Any

from hwnas.errors import ConfigError

VARIABLE = "HWNAS_WORKER_PRELOAD"  # a library's path or name; empty: none
FASTEST = ("tcmalloc_minimal", "tcmalloc")  # of those that benchmarks/scaling.py compares
_log = logging.getLogger(__name__)
_starting = threading.Lock()


class Worker(SpawnProcess):
    """A process that loads the malloc of ``library`` first; the process that starts it stays as it is."""

    library: str | None = None

    def start(self) -> None:
        """Start it; the loader reads the environment once, so that is changed for this moment alone."""
        with _starting, _loaded_first(self.library):
            super().start()


class WorkerContext(SpawnContext):
    """Spawned, not forked: torch's threads and ONNX Runtime's do not survive a fork.

    Raises:
        ConfigError: the variable names a library that does not exist.
    """

    def __init__(self) -> None:
        super().__init__()
        self._library = library()
        if self._library:
            _log.info("the workers load %s", self._library)

    def Process(self, *arguments: Any, **options: Any) -> Worker:  # type: ignore[override]
        """A process of this context."""
        worker = Worker(*arguments, **options)
        worker.library = self._library
        return worker


def library() -> str | None:
    """What HWNAS_WORKER_PRELOAD names. Where it is not set: tcmalloc if installed (Linux), unless LD_PRELOAD names a malloc."""
    named = os.environ.get(VARIABLE)
    if named is None:
        return None if "malloc" in os.environ.get("LD_PRELOAD", "") else _installed()
    if named and not (Path(named).exists() if "/" in named else _is_known(named)):
        raise ConfigError(f"{VARIABLE} names a library that does not exist: {named}; give its path, or unset the variable")
    return named or None


def _is_known(name: str) -> bool:
    """Whether the loader finds a library of this file name."""
    return ctypes.util.find_library(name.removeprefix("lib").partition(".so")[0]) is not None


def _installed() -> str | None:
    if sys.platform != "linux":
        return None
    return next((found for name in FASTEST if (found := ctypes.util.find_library(name))), None)


@contextlib.contextmanager
def _loaded_first(found: str | None) -> Iterator[None]:
    if found is None:
        yield
        return
    before = os.environ.get("LD_PRELOAD")
    os.environ["LD_PRELOAD"] = f"{found}:{before}" if before else found
    try:
        yield
    finally:
        if before is None:
            del os.environ["LD_PRELOAD"]
        else:
            os.environ["LD_PRELOAD"] = before
