"""The run on disk: SQLite for what was tried and what came of it, safetensors files for weights. No torch."""

from hwnas.store.creation import refuse_used
from hwnas.store.given import give_weights
from hwnas.store.records import Event, Measurement, MeasurementKind, Row
from hwnas.store.run_store import RunStore
from hwnas.store.version_2 import FORMER_PROFILE
from hwnas.store.weights import content_hash

__all__ = [
    "FORMER_PROFILE",
    "Event",
    "Measurement",
    "MeasurementKind",
    "Row",
    "RunStore",
    "content_hash",
    "give_weights",
    "refuse_used",
]
