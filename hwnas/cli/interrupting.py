"""Ctrl-C while nothing has begun, and for commands whose work can be stopped anywhere."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def ending_at_once() -> Iterator[None]:
    """While it is entered, Ctrl-C ends the process without a word; not in a thread, nor where Ctrl-C is ignored or handled."""
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or before is not signal.default_int_handler:
        yield
        return
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def ending_at_the_second() -> Iterator[None]:
    """While it is entered, a first Ctrl-C is a KeyboardInterrupt as ever, a second ends the process at once, threads and all.

    An ignored Ctrl-C (a background job of a script) stays ignored. Signals reach the main thread alone:
    elsewhere this does nothing.
    """
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or before is signal.SIG_IGN:
        yield
        return

    def first(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, first)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
