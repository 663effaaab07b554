"""What a fault campaign needs of a run: its trained networks and its own data."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwnas.experiment.deployment import calibration_images, pixels
from hwnas.experiment.stored import refuse_untrained, stored_data, trained_state
from hwnas.graph import Graph
from hwnas.network import State
from hwnas.store import Row, RunStore


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedNetwork:
    """A network of a run: its id, its topology and its tensors."""

    id: str
    graph: Graph
    state: State


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultMaterial:
    """Networks; images float32 (n, C, H, W) in [0, 1] and labels (n,) of the validation split; training images to calibrate."""

    networks: tuple[TrainedNetwork, ...]
    images: NDArray[np.float32]
    labels: NDArray[np.int64]
    calibration: NDArray[np.float32]
    mean: tuple[float, ...]
    std: tuple[float, ...]


def fault_material(store: RunStore, rows: Sequence[Row]) -> FaultMaterial:
    """Read networks and data. Raises RequestError for untrained networks and for data that are not the run's."""
    refuse_untrained(rows, "faulted")
    data = stored_data(store)
    return FaultMaterial(
        networks=tuple(TrainedNetwork(id=row.id, graph=row.candidate.graph, state=trained_state(store, row)) for row in rows),
        images=pixels(data.validation),
        labels=data.validation.labels.numpy(),
        calibration=calibration_images(data),
        mean=data.mean,
        std=data.std,
    )
