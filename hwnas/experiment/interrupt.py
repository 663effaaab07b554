"""Ctrl-C while a search works: the first stops it at the next clean point, the second at once."""

import signal
import threading
from types import FrameType, TracebackType
from typing import Self


class Interrupt:
    """While it is entered, a first SIGINT is only noted; ``check`` raises it where stopping is clean, and so does leaving.

    Signals reach the main thread alone: in another one this does nothing. An ignored Ctrl-C (a script's background job) stays
    ignored.
    """

    def __init__(self) -> None:
        self._asked = False
        self._before: signal._HANDLER = None

    def check(self) -> None:
        """Raise KeyboardInterrupt if it was asked for."""
        if self._asked:
            raise KeyboardInterrupt

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
            self._before = signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)
        if kind is None:
            self.check()

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self._asked:
            raise KeyboardInterrupt
        self._asked = True
