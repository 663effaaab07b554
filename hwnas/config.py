"""Typed configuration of a run; an unknown key is an error.

A run's configuration is one TOML file (or the options of ``hwnas search``, which say the same). Sections that belong to one
part (data, augmentation, trainer, lemonade, rungs) are checked against that part's own settings when the parts are put together.
"""

import dataclasses
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError

from hwnas.errors import ConfigError, StoreError

T = TypeVar("T")
_UNITS_S = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def seconds(text: object) -> float:
    """A duration in seconds: a number, or ``90s``, ``30m``, ``1.5h``, ``2d``. Raises ConfigError for anything else."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([smhd]?)\s*", str(text))
    if match is None or not float(match[1]) > 0:
        raise ConfigError(f"a duration is a positive number with s, m, h or d behind it, such as 30m, got {text!r}")
    return float(match[1]) * _UNITS_S[match[2] or "s"]


Duration = Annotated[float, BeforeValidator(seconds)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")  # a limit may be infinite


class Budget(_Section):
    """When a run ends: whichever comes first. ``time`` in seconds or as ``30m``; ``child_time`` limits one child's training
    (each part of it, with rungs), ``child_memory_mb`` what it may allocate beyond its worker and the data (2^20 bytes).

    ``images_per_child`` is chosen from the time where it is not given. With nothing given a run takes three minutes.
    """

    time: Duration | None = None
    generations: int | None = Field(default=None, ge=0)
    max_evaluations: int | None = Field(default=None, ge=1)
    images_per_child: int | None = Field(default=None, ge=1)
    child_time: Duration | None = None
    child_memory_mb: float | None = Field(default=None, gt=0, allow_inf_nan=False)


class RunConfig(_Section):
    """All that a run depends on; it is stored in the run folder as JSON.

    ``torch_threads`` are those of each worker; ``keep`` says whose trained weights stay on the disk.
    """

    seed: int = Field(default=0, ge=0)
    device: str = "local-cpu"
    strategy: str = "lemonade"
    workers: int = Field(default=1, ge=1)
    torch_threads: int = Field(default=1, ge=1)
    asynchronous: bool = False
    executor: str = Field(default="local", pattern="^(local|ray)$")
    ray_address: str = "auto"
    metric: str = Field(default="error", pattern="^(error|balanced_error)$")
    objectives: tuple[str, ...] = ("error", "parameters", "latency_ms", "expected_change")  # see benchmarks/resilience_proxy.py
    max_error: float | None = Field(default=None, gt=0, le=1)
    budget: Budget = Budget()
    limits: Mapping[str, float] = Field(default_factory=dict)
    data: Mapping[str, Any] = Field(default_factory=dict)
    augmentation: Mapping[str, Any] = Field(default_factory=dict)
    trainer: Mapping[str, Any] = Field(default_factory=dict)
    lemonade: Mapping[str, Any] = Field(default_factory=dict)
    rungs: Mapping[str, Any] = Field(default_factory=dict)
    keep: str = Field(default="all", pattern="^(all|front)$")


def read_config(path: Path) -> dict[str, Any]:
    """The tables of a TOML file. Raises ConfigError where it is missing or not TOML."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read the configuration {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not TOML: {error}") from None


def make_config(values: Mapping[str, Any], where: str = "the configuration") -> RunConfig:
    """A checked configuration. Raises ConfigError that names every wrong key and value, and ``where`` they stand."""
    return settings_of(RunConfig, values, where)


def config_from_json(text: str) -> RunConfig:
    """The configuration that a run keeps. Raises StoreError where it is damaged."""
    try:
        return RunConfig.model_validate_json(text)
    except ValidationError as error:
        raise StoreError(f"the stored configuration is damaged: {_problems(error, RunConfig)}") from None


def settings_of(kind: type[T], values: Mapping[str, Any], where: str) -> T:
    """``values`` as the settings class ``kind`` (a pydantic model or a dataclass). Raises ConfigError."""
    if dataclasses.is_dataclass(kind):
        known = [field.name for field in dataclasses.fields(kind)]
        unknown = [name for name in values if name not in known]
        if unknown:
            raise ConfigError(f"{where}: unknown key {', '.join(unknown)}; known are {', '.join(known)}")
    try:
        return TypeAdapter(kind).validate_python(dict(values))
    except ValidationError as error:
        raise ConfigError(f"{where}: {_problems(error, kind)}") from None


def _problems(error: ValidationError, kind: type) -> str:
    problems = []
    for problem in error.errors():
        place = ".".join(str(part) for part in problem["loc"])
        if problem["type"] == "extra_forbidden":
            known = getattr(kind, "model_fields", {})
            problems.append(f"unknown key {place}" + (f"; known are {', '.join(known)}" if "." not in place else ""))
        else:
            message = problem["msg"].removeprefix("Value error, ")
            got = "" if problem["type"] == "value_error" else f", got {problem['input']!r}"  # our own messages say it themselves
            problems.append(f"{place}: {message}{got}" if place else message)
    return "; ".join(problems)
