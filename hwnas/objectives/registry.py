"""Objectives by name: those of hwnas, and a user's own by ``package.module:attribute``."""

import dataclasses
import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from hwnas.errors import ConfigError
from hwnas.objective import Limit, Objective
from hwnas.objectives import topology
from hwnas.objectives.error import Error
from hwnas.objectives.expected_change import ExpectedChange
from hwnas.objectives.latency import LatencyMs
from hwnas.objectives.peak_memory import PeakMemoryKb
from hwnas.objectives.source import DeviceObjective, GraphObjective, Source, TrainedObjective
from hwnas.settings.reference import is_reference, resolve

_ALL: tuple[Source, ...] = (  # in the order of their columns
    Error(),
    topology.PARAMETERS,
    topology.MACS,
    LatencyMs(),
    topology.SENSITIVITY,
    ExpectedChange(),
    topology.MEMORY,
    PeakMemoryKb(),
    topology.SENSITIVITY_MEAN,
    topology.SENSITIVITY_MAX,
    topology.EXPOSURE,
    topology.ADCR,
)
SOURCES: Mapping[str, Source] = MappingProxyType({source.objective.name: source for source in _ALL})
OBJECTIVES: Mapping[str, Objective] = MappingProxyType({name: source.objective for name, source in SOURCES.items()})


def source_named(name: str) -> Source:
    """Where the values of one objective come from, by its name or reference. Raises as ``sources_named``."""
    if name in SOURCES:
        return SOURCES[name]
    if not is_reference(name):
        known = ", ".join(OBJECTIVES)
        raise ConfigError(f"unknown objective {name}; known are {known}, and your own by package.module:attribute")
    return _own(name)


def sources_named(names: Sequence[str]) -> tuple[Source, ...]:
    """Where the values of the objectives of these names and references come from.

    Raises ConfigError on an unknown name, an objective given twice, or where error is missing; RequestError where a reference
    names nothing.
    """
    found = tuple(source_named(name) for name in names)
    own = [source.objective.name for source in found]
    if len(set(own)) != len(own) or "error" not in own or len(own) < 2:
        raise ConfigError(f"objectives must be error and at least one other, each once, got {', '.join(names) or 'none'}")
    return found


def objectives_named(
    names: Sequence[str],
    max_error: float | None = None,
    metric: str = "error",
    limits: Mapping[str, float] = MappingProxyType({}),
) -> tuple[Objective, ...]:
    """The objectives of these names and references; ``max_error`` bounds the error, which is called after the run's ``metric``.

    A limit on what only a training tells (``expected_change``) is the upper bound of that objective, too.
    Raises as ``sources_named``.
    """
    found = {source.objective.name: source.objective for source in sources_named(names)}
    title = "" if metric == "error" else metric.replace("_", " ")
    found["error"] = dataclasses.replace(found["error"], upper_bound=max_error, title=title)
    for name, maximum in limits.items():
        if name in found and not found[name].cheap:
            found[name] = dataclasses.replace(found[name], upper_bound=maximum)
    return tuple(found.values())


def known_objectives(own: Sequence[Objective]) -> dict[str, Objective]:
    """The objectives of hwnas by name, in the order of their columns, and a run's ``own``, in place of those of their name."""
    return {**OBJECTIVES, **{objective.name: objective for objective in own}}


def limit_on(name: str, maximum: float, own: Sequence[Objective] = ()) -> Limit:
    """A limit on an objective of hwnas or one of the run's ``own``.

    Raises ConfigError unless that is known or predicted without training; what a training alone tells must be one of ``own``.
    """
    known = known_objectives(own)
    if name not in known or not (known[name].cheap or known[name].predicted):
        cheap = ", ".join(each for each, objective in known.items() if objective.cheap or objective.predicted)
        raise ConfigError(f"a limit is set on what is known or predicted without training ({cheap}), got {name}")
    if not known[name].cheap and name not in {objective.name for objective in own}:
        raise ConfigError(f"a limit on {name} needs it among the objectives, which are {', '.join(each.name for each in own)}")
    return Limit(objective=name, maximum=maximum)


def _own(reference: str) -> Source:
    """The user's objective. Raises ConfigError where it is none, or says something that cannot be."""
    source = resolve(reference)
    kinds = (GraphObjective, DeviceObjective, TrainedObjective)
    objective = getattr(source, "objective", None)
    if not isinstance(source, kinds) or not isinstance(objective, Objective):
        wanted = " or ".join(f"hwnas.objectives.{kind.__name__}" for kind in kinds)
        raise ConfigError(f"{reference} must be a {wanted} with an `objective`, got {source!r}")
    if objective.name in SOURCES or not re.fullmatch("[a-z][a-z0-9_]*", objective.name):
        raise ConfigError(f"{reference} needs a name of its own in small letters, digits and _, got {objective.name!r}")
    if objective.cheap != isinstance(source, GraphObjective):
        raise ConfigError(f"{reference}: an objective is cheap where it is one of the graph, got cheap={objective.cheap}")
    return source
