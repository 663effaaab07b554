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
from pathlib import Path

import psutil

try:
    import resource
except ImportError:  # Windows has no such limits
    resource = None  # type: ignore[assignment]

MEGABYTE = 1 << 20
KEPT_BYTES = 1 << 30
MOST_KEPT_BYTES = 32 << 20  # what glibc before 2.35 takes at most as M_MMAP_THRESHOLD
GRACE_S = 10.0  # after its time limit, for a worker that hangs
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # glibc's malloc.h


def start_worker(*, keep_freed_memory: bool) -> None:
    """Called first in every worker process."""
    if keep_freed_memory:
        _keep_freed_memory()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to the whole group; the main process decides
    threading.Thread(target=_follow_parent, daemon=True).start()


def _keep_freed_memory() -> None:
    """Let glibc's malloc hand out again what was freed instead of giving it back to the system and fetching it again.

    The same as MALLOC_MMAP_THRESHOLD_ and MALLOC_TRIM_THRESHOLD_ in the environment, but for this process alone.
    """
    if sys.platform == "linux":
        with contextlib.suppress(AttributeError):  # another C library
            library = ctypes.CDLL(None)
            if not library.mallopt(M_MMAP_THRESHOLD, KEPT_BYTES):
                library.mallopt(M_MMAP_THRESHOLD, MOST_KEPT_BYTES)
            library.mallopt(M_TRIM_THRESHOLD, KEPT_BYTES)


def _follow_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])  # ready when the parent is gone, however it went
        os._exit(1)


def waited_s() -> float:
    """Seconds for which this thread was ready to run, but others had the core; 0 where the system does not tell (Linux does)."""
    try:
        return int(Path("/proc/thread-self/schedstat").read_text().split()[1]) / 1e9
    except (OSError, IndexError):
        return 0.0


class TimeUp(BaseException):
    """Raised by ``time_limit``'s alarm wherever the work is: no Exception, so that nothing in the work takes it for its own."""


@contextmanager
def time_limit(limit_s: float | None) -> Iterator[None]:
    """Raise TimeUp in this, the main thread, when the time is up; where it hangs outside Python, end the process.

    For workers whose pool has no such limit itself. Windows has no alarms: there the process ends.
    """
    if limit_s is None:
        yield
        return

    def stop(number: int, frame: object) -> None:
        raise TimeUp

    watch = threading.Timer(limit_s + GRACE_S, os._exit, [1])
    watch.daemon = True
    watch.start()
    if sys.platform != "win32":
        before = signal.signal(signal.SIGALRM, stop)
        signal.setitimer(signal.ITIMER_REAL, limit_s)
    try:
        yield
    finally:
        if sys.platform != "win32":
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
        watch.cancel()


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
