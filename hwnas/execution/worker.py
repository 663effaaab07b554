"""What a worker process is: it leaves Ctrl-C to the main process, dies with it, and keeps its memory within a limit."""

import multiprocessing
import os
import signal
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


def start_worker() -> None:
    """Called first in every worker process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to the whole group; the main process decides
    threading.Thread(target=_follow_parent, daemon=True).start()


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
