"""Strategies by name: those of hwnas, and a user's own by ``package.module:attribute``; each is the class of its settings."""

import dataclasses
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, cast

from pydantic import TypeAdapter

from hwnas.errors import ConfigError
from hwnas.search.aging import AgingSettings
from hwnas.search.lemonade import LemonadeSettings
from hwnas.search.nash import NashSettings
from hwnas.search.nsga2 import Nsga2Settings
from hwnas.search.pareto_nash import ParetoNashSettings
from hwnas.search.random_walks import RandomSettings
from hwnas.search.strategy import StrategySettings
from hwnas.settings.reference import SEPARATOR, class_of, is_reference

DEFAULT = "lemonade"
STRATEGIES: Mapping[str, type] = MappingProxyType(
    {
        "lemonade": LemonadeSettings,
        "pareto-nash": ParetoNashSettings,
        "nash": NashSettings,
        "nsga2": Nsga2Settings,
        "aging-evolution": AgingSettings,
        "random": RandomSettings,
    }
)


def strategy_of(given: object) -> StrategySettings:
    """The settings that a name, or a table with a ``name`` and settings, stands for; settings are given back as they are.

    Raises ConfigError for unknown names and settings, RequestError where a reference names nothing.
    """
    if isinstance(given, str):
        given = {"name": given}
    if not isinstance(given, Mapping):
        return _checked(given)
    name, values = str(given.get("name", DEFAULT)), {key: value for key, value in given.items() if key != "name"}
    if name not in STRATEGIES and not is_reference(name):
        known = ", ".join(STRATEGIES)
        raise ConfigError(f"unknown strategy {name!r}; known are {known}, and your own by package.module:attribute")
    kind: type[Any] = STRATEGIES[name] if name in STRATEGIES else class_of(name)
    if not dataclasses.is_dataclass(kind):
        raise ConfigError(f"{name} must be a dataclass, the settings of a strategy, got {kind!r}")
    known_fields = [field.name for field in dataclasses.fields(kind)]
    if unknown := [key for key in values if key not in known_fields]:
        raise ConfigError(f"unknown key {', '.join(unknown)}; known are {', '.join(known_fields)}")
    return _checked(TypeAdapter(kind).validate_python(values))


def name_of(settings: object) -> str:
    """The name by which the configuration knows the strategy of these settings. Raises ConfigError where a resume could not."""
    kind = type(settings)
    for name, known in STRATEGIES.items():
        if kind is known:
            return name
    name = f"{kind.__module__}{SEPARATOR}{kind.__qualname__}"
    if kind.__module__ == "__main__" or "<locals>" in kind.__qualname__ or class_of(name) is not kind:
        raise ConfigError(f"a resumed run could not find {name} again: define it in a module that can be imported")
    return name


def table_of(settings: Any) -> dict[str, Any]:
    """The section ``[strategy]`` of these settings."""
    return {"name": name_of(settings), **dataclasses.asdict(settings)}


def _checked(settings: object) -> StrategySettings:
    missing = [name for name in ("children", "inherits", "begin") if name not in dir(settings)]
    if missing:
        raise ConfigError(f"a strategy is a name, a table, or settings that have {', '.join(missing)}, got {settings!r}")
    return cast(StrategySettings, settings)
