"""Where the values of objectives come from: one file for each source; the words for them are in ``hwnas.objective``."""

from hwnas.objectives.registry import (
    OBJECTIVES,
    SOURCES,
    known_objectives,
    limit_on,
    objectives_named,
    source_named,
    sources_named,
)
from hwnas.objectives.source import DeviceObjective, GraphObjective, Source, TrainedObjective, called, checked

__all__ = [
    "OBJECTIVES",
    "SOURCES",
    "DeviceObjective",
    "GraphObjective",
    "Source",
    "TrainedObjective",
    "called",
    "checked",
    "known_objectives",
    "limit_on",
    "objectives_named",
    "source_named",
    "sources_named",
]
