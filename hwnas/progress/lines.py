"""A run's progress in lines, for a pipe or a file: never silent for longer than a reader waits."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from hwnas.progress.log_file import clock, summary
from hwnas.progress.progress import Progress

EVERY_S = 15.0
TICK_S = 1.0


class Lines:
    """A listener that writes what a run says while it is prepared, the end of each generation, and a line every 15 seconds.

    ``tick`` is to be called often, for there are stretches in which a run says nothing; ``now`` gives seconds.
    """

    def __init__(self, write: Callable[[str], None], now: Callable[[], float] = time.monotonic) -> None:
        self._write = write
        self._now = now
        self._began = self._told_at = now()
        self._last: Progress | None = None
        self._told = ""
        self._lock = threading.Lock()

    def __call__(self, progress: Progress) -> None:
        """Take a run's progress in."""
        with self._lock:
            last, self._last = self._last, progress
            if progress.phase == "preparing" and progress.message and (last is None or progress.message != last.message):
                self._tell(progress.message)
            ends = progress.phase in ("final", "finishing", "done")
            is_in_generation = last is not None and last.phase in ("measuring", "training")
            if last is not None and is_in_generation and (ends or last.generation != progress.generation):
                self._end(last)
        self.tick()

    def tick(self) -> None:
        """Write where the run is, if nothing was written for 15 seconds."""
        with self._lock:
            if self._now() - self._told_at >= EVERY_S:
                self._tell(self._moment())

    def _moment(self) -> str:
        progress, used = self._last, clock(self._now() - self._began)
        if progress is None or progress.phase == "preparing":
            return f"preparing: reading data, starting workers, measuring this machine's speed; {used} so far"
        return summary(progress)

    def _end(self, last: Progress) -> None:
        """A generation's last line, unless that was just written."""
        if summary(last) != self._told:
            self._tell(summary(last))

    def _tell(self, text: str) -> None:
        self._told_at, self._told = self._now(), text
        self._write(text)


@contextmanager
def told_in_lines(write: Callable[[str], None]) -> Iterator[Lines]:
    """A `Lines` that a thread of its own looks after."""
    lines, ended = Lines(write), threading.Event()

    def tick() -> None:
        while not ended.wait(TICK_S):
            lines.tick()

    thread = threading.Thread(target=tick, name="progress", daemon=True)
    thread.start()
    try:
        yield lines
    finally:
        ended.set()
        thread.join()
