"""What a worker process is: it leaves Ctrl-C to the main process, dies with it, and keeps its memory within a limit."""

import contextlib
import ctypes
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import wait

import psutil

try:
    import resource
except ImportError:  # Windows has no such limits
    resource = None  # type: ignore[assignment]

MEGABYTE = 1 << 20
KEPT_BYTES = 1 << 30
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # glibc's malloc.h


def start_worker(*, keep_freed_memory: bool) -> None:
    """Called first in every worker process."""
    if keep_freed_memory:
        _keep_freed_memory()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to the whole group; the main process decides
    threading.Thread(target=_follow_parent, daemon=True).start()


def _keep_freed_memory() -> None:
    """Let glibc's malloc hand out again what was freed instead of giving it back to the system and fetching it anew.

    The same as MALLOC_MMAP_THRESHOLD_ and MALLOC_TRIM_THRESHOLD_ in the environment, but for this process alone.
    """
    if sys.platform == "linux":
        with contextlib.suppress(AttributeError):  # another C library
            library = ctypes.CDLL(None)
            library.mallopt(M_MMAP_THRESHOLD, KEPT_BYTES)
            library.mallopt(M_TRIM_THRESHOLD, KEPT_BYTES)


def _follow_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])  # ready when the parent is gone, however it went
        os._exit(1)


@contextmanager
def memory_limit(limit_mb: float | None) -> Iterator[None]:
    """Let this process allocate at most ``limit_mb`` (2^20 bytes) more than it holds now; where the system can (Linux)."""
    held = getattr(psutil.Process().memory_info(), "data", None)
    if limit_mb is None or resource is None or held is None:
        yield
        return
    before = resource.getrlimit(resource.RLIMIT_DATA)
    wanted = int(held + limit_mb * MEGABYTE)
    resource.setrlimit(resource.RLIMIT_DATA, (wanted if before[1] < 0 else min(wanted, before[1]), before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, before)
