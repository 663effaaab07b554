"""What a fault campaign needs of a run: its trained networks and its own data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hwnas.config import settings_of
from hwnas.data import DataSettings, Split, load
from hwnas.errors import DataError, RequestError
from hwnas.execution import unpack
from hwnas.experiment.run import stored_config
from hwnas.graph import Graph
from hwnas.store import Row, RunStore

CALIBRATION_IMAGES = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedNetwork:
    """A network of a run: its id, its topology and its tensors."""

    id: str
    graph: Graph
    state: Mapping[str, Tensor]


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
    untrained = [row.id for row in rows if row.outcome is None or row.outcome.weights is None]
    if untrained:
        raise RequestError(f"only trained models can be faulted; {', '.join(untrained)} did not finish")
    config = stored_config(store)
    settings = settings_of(DataSettings, {"seed": config.seed, **config.data}, "[data]")
    data = load(settings)
    if data.fingerprint != store.meta("data_fingerprint"):
        raise DataError(
            f"the data in {settings.source} are not those of the run: fingerprint {data.fingerprint}, "
            f"expected {store.meta('data_fingerprint')}; bring the run's data back"
        )
    spread = torch.arange(0, len(data.train), max(1, len(data.train) // CALIBRATION_IMAGES))[:CALIBRATION_IMAGES]
    return FaultMaterial(
        networks=tuple(_network(store, row) for row in rows),
        images=_images(data.validation),
        labels=data.validation.labels.numpy(),
        calibration=_images(data.train.rows(spread)),
        mean=data.mean,
        std=data.std,
    )


def _network(store: RunStore, row: Row) -> TrainedNetwork:
    assert row.outcome is not None
    assert row.outcome.weights is not None
    return TrainedNetwork(id=row.id, graph=row.candidate.graph, state=unpack(store.weights(row.outcome.weights)))


def _images(split: Split) -> NDArray[np.float32]:
    return (split.images.float() / 255).numpy()
