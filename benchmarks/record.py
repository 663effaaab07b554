"""How every benchmark is asked and answers: one parser, one machine stamp, one JSON object last on stdout.

    arguments = record.parser("candidate_overhead", QUESTION).parse_args()
    ...
    goals = [record.at_most("child_ms", median_ms, 15, "ms"), record.at_least("export_ratio", ratio, 10, "times")]
    record.finish(arguments, benchmark="candidate_overhead", question=QUESTION, results={...}, rows=rows, goals=goals)

Progress goes to stderr (`record.progress`). A full run keeps its answer, raw rows included, in benchmarks/results/.
"""

import argparse
import json
import os
import platform
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import psutil

RESULTS = Path(__file__).parent / "results"
LIBRARIES = ("hwnas", "numpy", "scipy", "torch", "onnx", "onnxruntime", "moocore", "pymoo", "scikit-learn")


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """One figure against its threshold; the name and threshold are those that the issue states.

    A figure that could not be had has value None and is not met.
    """

    name: str
    value: float | None
    unit: str
    goal: float
    met: bool


def at_least(name: str, value: float | None, goal: float, unit: str) -> Goal:
    """Return a goal that is met by values of `goal` or more."""
    return Goal(name=name, value=value, unit=unit, goal=goal, met=value is not None and bool(value >= goal))


def at_most(name: str, value: float | None, goal: float, unit: str) -> Goal:
    """Return a goal that is met by values of `goal` or less."""
    return Goal(name=name, value=value, unit=unit, goal=goal, met=value is not None and bool(value <= goal))


def parser(benchmark: str, question: str) -> argparse.ArgumentParser:
    """Return the parser that all benchmarks share; one with options of its own adds them."""
    shared = argparse.ArgumentParser(prog=f"python benchmarks/{benchmark}.py", description=question)
    shared.add_argument("--quick", action="store_true", help="at most 8 minutes; the kept full result stays as it is")
    shared.add_argument("--out", type=Path, metavar="F", help="write the full JSON, raw rows included, here as well")
    return shared


def command() -> str:
    """Return the command that started this process, as one can type it again from the repository."""
    script = os.path.relpath(sys.argv[0], Path(__file__).parent.parent)
    return shlex.join(["python", script, *sys.argv[1:]])


def progress(message: str) -> None:
    """Say on stderr how far we are."""
    print(message, file=sys.stderr, flush=True)


def machine() -> dict[str, Any]:
    """Return what the figures depend on: hardware, operating system, versions, load (1, 5 and 15 minutes), UTC date."""
    return {
        "cpu": _cpu_model(),
        "cores_physical": psutil.cpu_count(logical=False),
        "cores_logical": psutil.cpu_count(),
        "cores_usable": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_bytes": psutil.virtual_memory().total,
        "os": platform.platform(),
        "python": platform.python_version(),
        "libraries": {name: version for name in LIBRARIES if (version := _version(name)) is not None},
        "load_average": [round(load, 2) for load in psutil.getloadavg()],
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def finish(
    arguments: argparse.Namespace,
    *,
    benchmark: str,
    question: str,
    results: Mapping[str, Any],
    goals: Sequence[Goal],
    rows: Sequence[Mapping[str, Any]] = (),
    stamp: Mapping[str, Any] | None = None,
) -> None:
    """`record` with what the shared parser was given."""
    record(
        benchmark=benchmark,
        question=question,
        results=results,
        goals=goals,
        command=command(),
        quick=arguments.quick,
        rows=rows,
        stamp=stamp,
        out=arguments.out,
    )


def record(
    *,
    benchmark: str,
    question: str,
    results: Mapping[str, Any],
    goals: Sequence[Goal],
    command: str,
    quick: bool,
    rows: Sequence[Mapping[str, Any]] = (),
    stamp: Mapping[str, Any] | None = None,
    out: Path | None = None,
) -> None:
    """Keep the answer and print it, last on stdout, as one line of JSON.

    A full run is kept in benchmarks/results/<benchmark>.json, raw `rows` included; a quick run never touches that file.
    Either is written to `out` where that is given. `stamp` is `machine()` as it was before the work, where
    the load matters; without it the machine is looked at now.

    Raises: ValueError for results that JSON cannot hold (NaN, infinity), TypeError for other objects.
    """
    answer = {
        "benchmark": benchmark,
        "question": question,
        "machine": machine() if stamp is None else stamp,
        "command": command,
        "results": results,
        "goals": [asdict(goal) for goal in goals],
    }
    kept = [] if quick else [RESULTS / f"{benchmark}.json"]
    for path in [*kept, *([out] if out else [])]:
        write(path, as_json(answer | {"rows": rows}, indent=1) + "\n")
        progress(f"written to {path}")
    print(as_json(answer), flush=True)


def as_json(value: object, indent: int | None = None) -> str:
    """The value as JSON, numpy's numbers and arrays among it. Raises as `record`."""
    return json.dumps(value, indent=indent, allow_nan=False, ensure_ascii=False, default=_plain)


def _plain(value: object) -> object:
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    raise TypeError(f"a benchmark result holds a {type(value).__name__}, which JSON cannot hold: {value!r}")


def write(path: Path, text: str) -> None:
    """Replace the file in one step: a run that is stopped while writing leaves the earlier result whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)


def _cpu_model() -> str:
    information = Path("/proc/cpuinfo")
    lines = information.read_text().splitlines() if information.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _version(library: str) -> str | None:
    try:
        return metadata.version(library)
    except metadata.PackageNotFoundError:
        return None
