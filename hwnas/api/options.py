"""From the options of ``hwnas search`` to a configuration: where each one belongs, and what is chosen where none is given."""

import dataclasses
import os
import re
from collections.abc import Mapping
from copy import deepcopy
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil

from hwnas.api.search_options import refuse_unknown
from hwnas.config import Budget, RunConfig, make_config, settings_of
from hwnas.errors import ConfigError
from hwnas.settings import DIGITS, IMAGENET

# Where an option stands in the configuration file; what it may be, in SearchOptions.
OPTIONS: Mapping[str, tuple[str, ...]] = {
    **{name: (name,) for name in ("seed", "device", "workers", "executor", "ray_address", "metric", "objectives")},
    **{name: (name,) for name in ("operators", "imports")},
    "strategy": ("strategy", "name"),
    "inherit": ("strategy", "inherit"),
    "density": ("strategy", "density"),
    "asynchronous": ("asynchronous",),
    "keep": ("keep",),
    "start": ("start",),
    "weights": ("weights",),
    "freeze": ("freeze",),
    "from_run": ("from_run",),
    "with_initial": ("with_initial",),
    "original_teaches": ("original_teaches",),
    "max_error": ("max_error",),
    "steering": ("steering",),
    "rungs": ("rungs", "enabled"),
    "tune": ("tuning", "enabled"),
    "generations": ("budget", "generations"),
    "time_budget": ("budget", "time"),
    "max_evaluations": ("budget", "max_evaluations"),
    "max_latency_ms": ("limits", "latency_ms"),
    "max_parameters": ("limits", "parameters"),
    "max_macs": ("limits", "macs"),
    "max_expected_change": ("limits", "expected_change"),
    "max_memory_kb": ("limits", "memory_kb"),
    "data": ("data", "source"),
    "image_size": ("data", "image_size"),
    "fit": ("data", "fit"),
    "group_by": ("data", "group_by"),
    "normalisation": ("data", "normalisation"),
    "validation": ("data", "validation"),
}
RUNS = Path("runs")
MANY_WORKERS = 16  # are allowed on any machine
WORKERS_A_CPU = 4


def merged_config(tables: Mapping[str, Any], options: Mapping[str, Any]) -> RunConfig:
    """The configuration of a file's tables, overridden by options that are not None; by default one worker a physical core.

    Paths become absolute, so that a run can be resumed from anywhere. Raises ConfigError, for more workers than this machine can
    bear, too.
    """
    refuse_unknown(options, tuple(OPTIONS))
    merged: dict[str, Any] = deepcopy(dict(tables))
    if isinstance(merged.get("strategy"), str):
        merged["strategy"] = {"name": merged["strategy"], **merged.pop(merged["strategy"], {})}
    for name, value in options.items():
        if value is not None:
            if name == "strategy" and isinstance(value, Mapping):
                merged["strategy"] = dict(value)
                continue
            *sections, key = OPTIONS[name]
            table = merged
            for section in sections:
                table = table.setdefault(section, {})
                if not isinstance(table, dict):
                    raise ConfigError(f"the configuration: {section} must be a table, got {table!r}")
            table[key] = _value(name, value)
    if "workers" not in merged:
        merged["workers"] = physical_cores()
    config = make_config(merged)
    _refuse_too_many_workers(config)
    source, device = config.data.source, config.device
    if source != DIGITS:
        held_out = config.data.validation and _absolute(config.data.validation)
        data = dataclasses.replace(config.data, source=_absolute(source), validation=held_out)
        config = config.model_copy(update={"data": data})
    if config.from_run is not None:
        config = config.model_copy(update={"from_run": _absolute(config.from_run)})
    if Path(device).suffix == ".toml":
        config = config.model_copy(update={"device": _absolute(device)})
    return config


def budget_changes(**given: object) -> dict[str, object]:
    """What changes in a run's budget, by the names of its fields: what is not None. Raises ConfigError."""
    changed = {name: value for name, value in given.items() if value is not None}
    budget = settings_of(Budget, changed, "the budget")
    return {name: getattr(budget, name) for name in changed}


def expected_config(options: Mapping[str, Any]) -> dict[str, Any]:
    """What options that are not None say that a stored configuration has: values by the names of RunConfig's fields.

    Raises ConfigError for others than data and those that stand outside of the configuration's tables.
    """
    known = ["data", *(name for name, place in OPTIONS.items() if place == (name,))]
    if unknown := [name for name in options if name not in known]:
        raise ConfigError(f"cannot expect {', '.join(unknown)} of a run; what can be expected is {', '.join(known)}")
    expected = {name: _value(name, value) for name, value in options.items() if value is not None}
    if "data" in expected and expected["data"] != DIGITS:
        expected["data"] = _absolute(str(expected["data"]))
    return expected


def default_folder(config: RunConfig) -> Path:
    """``runs/<data>-<device>-<time>``, with a number behind it where that is taken."""
    data = Path(config.data.source).name.removesuffix(".parquet")
    name = f"{data}-{Path(config.device).stem}-{datetime.now():%Y%m%d-%H%M%S}"
    names = [name, *(f"{name}-{number}" for number in range(2, 100))]
    return next((RUNS / free for free in names if not (RUNS / free).exists()), RUNS / name)


def physical_cores() -> int:
    """Cores of this machine that this process may use, two threads of one core counted once."""
    usable = usable_cpus()
    return min(psutil.cpu_count(logical=False) or usable, usable)


def usable_cpus() -> int:
    """Logical CPUs that this process may use, as its affinity and the quota of its container (cgroup v1 or v2) allow."""
    import joblib  # takes half a second, which only a search need pay

    return int(joblib.cpu_count())


def _refuse_too_many_workers(config: RunConfig) -> None:
    """Raise ConfigError for more worker processes than this machine can bear; a cluster elsewhere has its own."""
    is_here = config.executor == "local" or config.ray_address == "local"
    if not is_here or config.workers <= MANY_WORKERS:
        return
    if config.workers > (most := max(MANY_WORKERS, WORKERS_A_CPU * usable_cpus())):
        raise ConfigError(
            f"workers must be at most {most} on this machine, {WORKERS_A_CPU} for each CPU that may be used, got "
            f"{config.workers}; each is a process that takes 0.3 to 0.5 GB"
        )


def _value(name: str, value: Any) -> Any:
    if name in ("objectives", "operators", "imports") and isinstance(value, str):
        value = [part.strip() for part in value.split(",") if part.strip()]
    if isinstance(value, list):
        return tuple(value)
    if name == "image_size" and isinstance(value, str):
        return image_size(value)
    if name == "normalisation" and isinstance(value, str):
        return normalisation(value)
    return os.fspath(value) if isinstance(value, os.PathLike) else value


def image_size(text: str) -> tuple[int, int]:
    """(height, width) of ``HxW``, or of one number for both. Raises ConfigError."""
    match = re.fullmatch(r"(\d+)(?:x(\d+))?", text.strip().lower())
    if match is None:
        raise ConfigError(f"an image size is height x width in pixels, such as 32x48 or 32, got {text!r}")
    return int(match[1]), int(match[2] or match[1])


def normalisation(text: str) -> tuple[float, ...]:
    """Means, then standard deviations, of ``imagenet``, ``none`` or ``0.5,0.25`` (of all channels). Raises ConfigError."""
    named = {"imagenet": IMAGENET, "none": (0.0, 1.0)}
    if text.strip().lower() in named:
        return named[text.strip().lower()]
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise ConfigError(
            f"a normalisation is imagenet, none, or means and then standard deviations such as 0.5,0.25, got {text!r}"
        ) from None


def _absolute(path: str) -> str:
    """A path as an absolute one where it exists; what does not is left for its reader to refuse."""
    expanded = Path(os.path.expanduser(path))  # which leaves the home of an unknown user as it is
    return str(expanded.resolve()) if path and expanded.exists() else path  # an empty one is not the folder we are in
