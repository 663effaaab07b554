"""Two commands at once, each on a core of its own, and the CPU time that each took."""

import os
import resource
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

POLL_S = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """What a command took, its children included, and the core that it was held to (None: any)."""

    elapsed_s: float
    cpu_s: float
    core: int | None


def side_by_side(commands: Mapping[str, Sequence[str]], cwd: str | os.PathLike[str]) -> dict[str, Finished]:
    """Run the commands at once; where the system has a core for each, each is held to one, and so are its children.

    Raises SystemExit with the name of a command that fails; the others are ended.
    """
    cores = _cores(len(commands))
    started = time.monotonic()
    running = {name: _started(command, core, cwd) for (name, command), core in zip(commands.items(), cores, strict=True)}
    finished: dict[str, Finished] = {}
    try:
        while len(finished) < len(running):
            time.sleep(POLL_S)
            for (name, process), core in zip(running.items(), cores, strict=True):
                before = _cpu_of_children_s()
                if name in finished or process.poll() is None:
                    continue
                if process.returncode != 0:
                    raise SystemExit(f"{name} ended with exit code {process.returncode}: see above")
                cpu_s = _cpu_of_children_s() - before  # a child counts from when it is waited for
                finished[name] = Finished(elapsed_s=time.monotonic() - started, cpu_s=cpu_s, core=core)
    finally:
        for process in running.values():
            if process.poll() is None:
                process.terminate()
                process.wait()
    return finished


def _cores(count: int) -> list[int | None]:
    usable = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    return list(usable[:count]) if len(usable) >= count else [None] * count


def _started(command: Sequence[str], core: int | None, cwd: str | os.PathLike[str]) -> subprocess.Popen[bytes]:
    """Start a command that inherits the core from this process, which gets its own cores back."""
    if core is None:
        return subprocess.Popen(command, cwd=cwd)
    own = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        return subprocess.Popen(command, cwd=cwd)
    finally:
        os.sched_setaffinity(0, own)


def _cpu_of_children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
