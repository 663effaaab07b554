"""Weights that a run is given from outside after it began."""

from hwnas.store import weights
from hwnas.store.creation import GIVEN, WEIGHTS
from hwnas.store.database import translated
from hwnas.store.run_store import RunStore


def give_weights(store: RunStore, data: bytes) -> str:
    """Store weights that no outcome names, never collected; gives their content hash.

    They are on the disk before the run names them. Raises StoreError where the disk is full or the run was opened for reading.
    """
    with translated(store.folder):
        name = weights.write(store.folder / WEIGHTS, data)
    store.set_meta(GIVEN, sorted({name, *(store.find_meta(GIVEN, list[str]) or ())}))
    return name
