"""The log file of a run: ``hwnas.log`` in its folder."""

import logging
import logging.handlers
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from hwnas.errors import HwnasError, RunFolderError

if TYPE_CHECKING:
    from hwnas.progress import Listener, Progress

LOG = "hwnas.log"
FINISHING_EVERY_S = 10.0
LINE = 80  # characters that every terminal has room for
LEAST_FIRST = ("used", "stopped", "failed", "front", "")  # parts of a line, in the order in which they are left out
_log = logging.getLogger(__name__)


def summary(progress: "Progress") -> str:
    """A run at one moment in one line of at most 80 characters; what matters least is left out where there is no room."""
    if progress.phase == "finishing":
        return f"finishing the front: {progress.done} of {progress.total} measured finely and tested"
    if progress.phase == "final":
        return f"training to the end: {progress.done} of {progress.total} done; {progress.message}"
    best = "" if progress.best_error is None else f"{progress.best_error:.2%}".replace("%", " %")
    parts = {
        "generation": f"generation {progress.generation}",
        "trained": f"{progress.trained} trained",
        "stopped": f"{progress.stopped} stopped early" if progress.stopped else "",
        "failed": f"{progress.failed} failed" if progress.failed else "",
        "front": f"front {progress.front_size}" if progress.front_size else "",  # it is known once the first generation is done
        "best": f"best {progress.metric.replace('_', ' ')} {best}" if best else "",
        "used": f"{clock(progress.elapsed_s)} used",
        "left": f"{clock(progress.left_s)} left" if progress.left_s is not None else "",
    }
    for name in LEAST_FIRST:
        if len(line := ", ".join(filter(None, parts.values()))) <= LINE:
            break
        del parts[name]
    return line


def both(first: "Listener", second: "Listener") -> "Listener":
    """A listener that tells two others."""

    def listen(progress: "Progress") -> None:
        first(progress)
        second(progress)

    return listen


def clock(seconds: float) -> str:
    """Seconds as m:ss or h:mm:ss."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class Generations:
    """A listener that passes on only what a line is worth: the end of each generation, and of the run.

    While its front is finished, which may take long, a line every ten seconds; ``now`` gives seconds.
    """

    def __init__(self, write: Callable[["Progress"], None], now: Callable[[], float] = time.monotonic) -> None:
        self._write = write
        self._now = now
        self._last: Progress | None = None
        self._told_at = 0.0

    def __call__(self, progress: "Progress") -> None:
        """Take a run's progress in."""
        last, self._last = self._last, progress
        if progress.phase == "finishing":
            self._finish(progress, is_first=last is None or last.phase != "finishing")
        if last is None or last.phase not in ("measuring", "training"):
            return
        if progress.phase in ("finishing", "done") or last.generation != progress.generation:
            self._write(last)

    def _finish(self, progress: "Progress", *, is_first: bool) -> None:
        now = self._now()
        if is_first:
            self._told_at = now
        elif now - self._told_at >= FINISHING_EVERY_S:
            self._told_at = now
            self._write(progress)


class _LogFile(logging.FileHandler):
    """A file that says nothing of its own troubles: on a full disk the run's one message is enough."""

    def handleError(self, record: logging.LogRecord) -> None:
        """Drop the line."""

    def close(self) -> None:
        """Close the file, and with it lose what found no room."""
        with suppress(OSError):
            super().close()


@contextmanager
def run_log(folder: Path) -> Iterator[Callable[["Progress"], None]]:
    """A listener that logs each generation, while everything that hwnas logs goes to the run's file.

    The file begins with the first progress after the preparation, when the folder is a run's; what was logged before is kept
    until then, and is dropped where no run comes of it.
    """
    logger = logging.getLogger("hwnas")
    level = logger.level
    waiting = logging.handlers.MemoryHandler(capacity=10_000, flushLevel=logging.CRITICAL + 1, flushOnClose=False)
    file: logging.Handler | None = None
    generations = Generations(lambda progress: _log.info(summary(progress)))

    def listen(progress: "Progress") -> None:
        nonlocal file
        if file is None and progress.phase == "preparing":
            return  # the folder may not be a run's yet
        if file is None:
            if (folder / LOG).is_dir() or (folder / LOG).is_fifo():
                raise RunFolderError(f"{folder / LOG} is no file, so the run has nowhere to log to; move it away")
            file = _LogFile(folder / LOG, encoding="utf-8")
            file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
            waiting.setTarget(file)
            waiting.flush()
            logger.addHandler(file)
            logger.removeHandler(waiting)
        generations(progress)

    def leave() -> None:
        logger.setLevel(level)
        for handler in (waiting, file):
            if handler is not None:
                logger.removeHandler(handler)
                handler.close()

    logger.addHandler(waiting)
    logger.setLevel(logging.INFO)
    with ExitStack() as stack:
        stack.callback(leave)
        stack.push(_log_the_end)
        yield listen


def _log_the_end(kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
    """What ends a run is worth a line: a failure its message, a bug its traceback, Ctrl-C its name."""
    if isinstance(error, HwnasError):
        _log.error("%s", error)
    elif kind is not None:
        _log.error("ended by %s", kind.__name__, exc_info=error if isinstance(error, Exception) else None)
