"""Typed configuration of a run; an unknown key is an error.

A run's configuration is one TOML file (or the options of ``hwnas search``, which say the same). Its sections are the classes of
``hwnas.settings``, which the parts of a run are given as they are.
"""

import dataclasses
import re
import sys
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args, get_type_hints

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    field_serializer,
    model_validator,
)

from hwnas.errors import ConfigError, RequestError, StoreError
from hwnas.objective import DEFAULT_OBJECTIVES
from hwnas.search import STRATEGIES, LemonadeSettings, strategy_of, table_of
from hwnas.settings import Augmentation, DataSettings, Rungs, TrainerSettings, Tuning

T = TypeVar("T")
_UNITS_S = {"s": 1.0, "sec": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}


def seconds(text: object) -> float:
    """A duration in seconds: a number, or ``90s``, ``30m``, ``1.5h``, ``2d``. Raises ConfigError for anything else."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(s|sec|m|min|h|d)?\s*", text) if isinstance(text, str) else None
    if match is not None:
        found = float(match[1]) * _UNITS_S[match[2] or "s"]
    else:  # a number, such as that of a duration that was read before
        found = text if isinstance(text, int | float) and not isinstance(text, bool) else 0.0
    if not 0 < found <= sys.float_info.max:  # TOML's whole numbers have no bound
        raise ConfigError(f"a duration is a positive number with s, m, h or d behind it, such as 30m, got {text!r}")
    return float(found)


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


class Final(_Section):
    """How networks of the front are trained to the end when a search is over, and what ``hwnas train`` does by default.

    ``share`` of a time budget is kept for it (0: nothing is trained to the end) and given to ``models`` members of the front, to
    more of them where these have had ``most_epochs``; where they are left out, images of at most 16 x 16 pixels get less of both.
    Without a time budget ``epochs`` asks for it. ``trainer`` and ``augmentation`` override what is chosen for the data, key by
    key, as in the sections of these names.
    """

    share: float = Field(default=0.7, ge=0, lt=1)
    models: int = Field(default=4, ge=1)
    epochs: int | None = Field(default=None, ge=1)
    most_epochs: int = Field(default=200, ge=1)
    trainer: Mapping[str, Any] = Field(default_factory=dict)
    augmentation: Mapping[str, Any] = Field(default_factory=dict)


class RunConfig(_Section):
    """All that a run depends on; it is stored in the run folder as JSON.

    ``workers`` are processes; with 0 the process of the search trains. ``torch_threads`` are those of each worker; ``keep`` says
    whose trained weights stay on the disk. ``strategy`` is a name, or a table with a ``name`` and the strategy's settings;
    ``operators`` are the names of those that children are made by, all where none is given; ``imports`` are modules that are
    imported first, such as those that register operations. ``start`` names networks that the run begins with, their weights kept
    (see ``hwnas.importing.network_of``), ``weights`` a safetensors file for one of them, ``freeze`` patterns (``layer1.*``) of
    the names of its tensors that no training changes; ``from_run`` is the folder of an earlier run of whose front the run begins
    with up to ``from_networks``; ``with_initial``: the search space's own begin with them.
    ``original_teaches``: such a network teaches those that descend from it and err more often, where they are distilled and when
    they are trained to the end. What ``trainer`` leaves open, and an ``augmentation`` that is left out, are chosen to suit the
    data.
    """

    seed: int = Field(default=0, ge=0, strict=True)  # `seed = true` is no number
    device: str = "local-cpu"
    strategy: Annotated[Any, BeforeValidator(strategy_of)] = LemonadeSettings()
    operators: tuple[str, ...] = ()
    imports: tuple[str, ...] = ()
    workers: int = Field(default=1, ge=0)
    torch_threads: int = Field(default=1, ge=1)
    asynchronous: bool = False
    executor: str = Field(default="local", pattern="^(local|ray)$")
    ray_address: str = "auto"
    metric: str = Field(default="error", pattern="^(error|balanced_error)$")
    objectives: tuple[str, ...] = DEFAULT_OBJECTIVES
    max_error: float | None = Field(default=None, gt=0, le=1)
    steering: bool = False
    budget: Budget = Budget()
    limits: Mapping[str, float] = Field(default_factory=dict)
    data: DataSettings = DataSettings()
    augmentation: Annotated[Augmentation | None, BeforeValidator(lambda given: given or None)] = None  # {}: older versions' None
    trainer: TrainerSettings = TrainerSettings()
    tuning: Tuning = Tuning()
    rungs: Rungs = Rungs()
    final: Final = Final()
    keep: str = Field(default="all", pattern="^(all|front)$")
    start: tuple[str, ...] = ()
    weights: str | None = None
    freeze: tuple[str, ...] = ()
    from_run: str | None = None
    from_networks: int = Field(default=8, ge=1)
    with_initial: bool = False
    original_teaches: bool = True

    @model_validator(mode="before")
    @classmethod
    def former_sections(cls, given: object) -> object:
        """A section by a strategy's own name, as earlier versions have it, is that of the strategy where that is chosen."""
        if not isinstance(given, Mapping):
            return given  # pydantic says what is wrong
        values = dict(given)
        for name in [name for name in STRATEGIES if name in values]:
            section = values.pop(name)
            if not isinstance(section, Mapping):
                raise ConfigError(f"{name}: Input should be a dictionary, got {section!r}")
            if values.get("strategy", name) == name:
                values["strategy"] = {"name": name, **section}
        return values

    @field_serializer("strategy")
    def strategy_as_table(self, strategy: Any) -> dict[str, Any]:
        """The strategy's name and settings."""
        return table_of(strategy)

    @property
    def data_settings(self) -> DataSettings:
        """The section ``data``, with the run's own seed where it names none."""
        return self.data if self.data.seed is not None else dataclasses.replace(self.data, seed=self.seed)

    @field_serializer("trainer")
    def trainer_as_given(self, trainer: TrainerSettings) -> dict[str, Any]:
        """What was said of the trainer: a default that is written down would be taken for the user's word when it is read."""
        return trainer.model_dump(exclude_unset=True)


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
        for problem in error.errors():
            cause = problem.get("ctx", {}).get("error")
            if type(cause) is RequestError:  # a user's own strategy that is not there
                raise cause from None
        raise StoreError(f"the stored configuration is damaged: {_problems(error, RunConfig)}") from None


def settings_of(kind: type[T], values: Mapping[str, Any], where: str) -> T:
    """``values`` as the settings class ``kind`` (a pydantic model or a dataclass that forbids others). Raises ConfigError."""
    try:
        return TypeAdapter(kind).validate_python(dict(values))
    except ValidationError as error:
        raise ConfigError(f"{where}: {_problems(error, kind)}") from None


def _problems(error: ValidationError, kind: type) -> str:
    problems = []
    for problem in error.errors():
        place = ".".join(str(part) for part in problem["loc"])
        if problem["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
            problems.append(f"unknown key {place}; known are {', '.join(_known(kind, problem['loc'][:-1]))}")
        else:
            message = problem["msg"].removeprefix("Value error, ")
            got = "" if problem["type"] == "value_error" else f", got {problem['input']!r}"  # our own messages say it themselves
            problems.append(f"{place}: {message}{got}" if place else message)
    return "; ".join(problems)


def _known(kind: Any, section: Sequence[int | str]) -> list[str]:
    """The names of the fields of a settings class, or of one of its sections."""
    for name in section:
        annotation = get_type_hints(kind)[str(name)]
        kind = next((each for each in get_args(annotation) if each is not type(None)), annotation)
    return [*kind.model_fields] if issubclass(kind, BaseModel) else [field.name for field in dataclasses.fields(kind)]
