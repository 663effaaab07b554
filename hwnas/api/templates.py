"""Files to begin with: a run's configuration with every key there is, written from the settings classes themselves."""

import dataclasses
import inspect
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel

from hwnas.config import Budget, Duration, Final, RunConfig
from hwnas.objectives import OBJECTIVES
from hwnas.search import LemonadeSettings
from hwnas.settings import Augmentation, DataSettings, Rungs, TrainerSettings, Tuning

SECTIONS: Mapping[str, type] = {
    "budget": Budget,
    "data": DataSettings,
    "strategy": LemonadeSettings,
    "augmentation": Augmentation,
    "trainer": TrainerSettings,
    "tuning": Tuning,
    "rungs": Rungs,
    "final": Final,
}
HEAD = """\
# A run of hwnas: hwnas search --config run.toml. Options of the command override what stands here.
# Every key is commented out and shows its default; what has none is not set, or chosen to suit the data.
"""
_WORDS = {bool: "true or false", int: "a whole number", float: "a number", str: "text", Path: "a path", tuple: "a list"}


def default_config() -> str:
    """A ``run.toml`` with every key, its default and what it means, all of it commented out: it is a run's default as it is.

    Example: ``Path("run.toml").write_text(hwnas.api.default_config())``
    """
    top = [line for line in _keys(RunConfig) if line.split(" ")[1] not in {*SECTIONS, "limits"}]
    parts = [HEAD, *_explained(RunConfig), *top]
    for name, kind in SECTIONS.items():
        parts += ["", f"[{name}]", *_explained(kind), *(['# name = "lemonade"'] if name == "strategy" else []), *_keys(kind)]
    cheap = ", ".join(name for name, objective in OBJECTIVES.items() if objective.cheap)
    parts += [
        "",
        "[limits]",
        f"# Networks over a limit are never trained. Names: {cheap}.",
        "# latency_ms =  # not set; a number",
    ]
    return "\n".join(parts) + "\n"


def _explained(kind: type) -> Iterator[str]:
    """The documentation of a class as comments."""
    for paragraph in inspect.cleandoc(kind.__doc__ or "").split("\n\n"):
        if not paragraph.startswith("Raises"):
            yield from (f"# {line.replace('``', '')}" for line in paragraph.splitlines())


def _keys(kind: type) -> Iterator[str]:
    """A line for each field of a settings class."""
    hints = get_type_hints(kind, include_extras=True)
    for name, default in _defaults(kind).items():
        yield f"# {name} = {_toml(default)}" if _has_toml(default) else f"# {name} =  # not set; {_in_words(hints[name])}"


def _defaults(kind: Any) -> dict[str, Any]:
    if issubclass(kind, BaseModel):
        return {name: field.get_default(call_default_factory=True) for name, field in kind.model_fields.items()}
    factories = {each.name: each.default_factory for each in dataclasses.fields(kind)}
    return {
        each.name: factories[each.name]() if each.default is dataclasses.MISSING else each.default  # type: ignore[operator]
        for each in dataclasses.fields(kind)
    }


def _has_toml(value: object) -> bool:
    return isinstance(value, bool | int | float | str | tuple | Mapping)


def _toml(value: Any) -> str:
    """A value as TOML writes it: as JSON does, but for tables."""
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{name} = {_toml(each)}" for name, each in value.items()) + " }" if value else "{}"
    return json.dumps(list(value) if isinstance(value, tuple) else value)


def _in_words(hint: Any) -> str:
    """What a value of a type is, in words."""
    if hint == Duration:
        return 'a duration such as "30m"'
    if get_origin(hint) is Annotated:
        return _in_words(get_args(hint)[0])
    if get_origin(hint) in (Union, UnionType):
        return _in_words(next(each for each in get_args(hint) if each is not type(None)))
    return _WORDS.get(get_origin(hint) or hint, "see above")
