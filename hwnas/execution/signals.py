"""Keeping Ctrl-C away from worker processes from their first moment on."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker


@contextmanager
def interrupts_blocked() -> Iterator[None]:
    """Threads started meanwhile, and all processes that they spawn, never see SIGINT; on Windows this does nothing.

    A terminal sends Ctrl-C to workers too. They ignore it once they run, but a spawned process first imports torch for seconds.
    """
    if os.name != "posix":
        yield
        return
    resource_tracker.ensure_running()  # starting it, which a first spawn would do, lets SIGINT through again in that thread
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
