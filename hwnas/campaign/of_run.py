"""Fault campaigns on a run's networks and on ONNX files: where a run, its data and the injection meet, behind ``Run.faults``."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hwnas.campaign.campaign import Watch
from hwnas.campaign.images import Examples
from hwnas.campaign.of_files import refuse_other_classes
from hwnas.campaign.results import FaultReport
from hwnas.campaign.settings import FaultName, FaultSettings
from hwnas.campaign.stored import keep_figures
from hwnas.campaign.study import Subject, onnx_subject, study, trained
from hwnas.device import load_profile, open_device
from hwnas.execution.threads import one_thread
from hwnas.export import convert, emit, needs_reduced_range
from hwnas.graph import Graph
from hwnas.injection import FaultTarget, QdqTarget
from hwnas.models.deploying import calibration_images, pixels
from hwnas.models.loading import refuse_untrained, stored_data, trained_state
from hwnas.network import State
from hwnas.store import Row, RunStore
from hwnas.store.campaigns import FOLDER

DEFAULT_FAULTS: tuple[FaultName, ...] = ("single", "ber")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedNetwork:
    """A network of a run: its id, its topology and its tensors."""

    id: str
    graph: Graph
    state: State


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultMaterial:
    """Networks; images float32 (n, C, H, W) in [0, 1] and labels (n,) of the validation split; training images to calibrate.

    ``classes``: how many the data have.
    """

    networks: tuple[TrainedNetwork, ...]
    images: NDArray[np.float32]
    labels: NDArray[np.int64]
    calibration: NDArray[np.float32]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    classes: int


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
        classes=len(data.classes),
    )


@one_thread()
def fault_study(
    store: RunStore,
    rows: Sequence[Row],
    files: Sequence[Path],
    settings: FaultSettings,
    faults: Sequence[FaultName],
    watch: Watch,
    threads: int = 1,
) -> FaultReport:
    """Fault networks of a run and ONNX files on the run's validation images; campaign files lie in the run's folder.

    So do the figures, for the run's page. ``threads`` networks at a time.
    """
    material = fault_material(store, rows)
    examples = Examples(images=material.images, labels=material.labels)
    own, calibration = _own(material, settings), material.calibration
    given = [onnx_subject(file, settings.dtype, calibration=calibration) for file in files]
    for subject in given:
        refuse_other_classes(subject, material.classes)
    subjects = [*own, *given]
    found = study(subjects, examples, settings, faults, folder=store.folder / FOLDER, watch=watch, threads=threads)
    keep_figures(store.folder, found, faults, settings.seed)
    return found


def _own(material: FaultMaterial, settings: FaultSettings) -> list[Subject]:
    mean, std, images = material.mean, material.std, material.calibration
    if settings.dtype != "int8":
        return [
            trained(n.id, n.graph, n.state, settings.dtype, mean=mean, std=std, calibration=images) for n in material.networks
        ]
    reduce_range = _reduces_range()

    def bench(network: TrainedNetwork) -> FaultTarget:
        model = emit(network.graph, network.state, mean=mean, std=std)
        return QdqTarget(convert(model, "int8", calibration=images, reduce_range=reduce_range))

    return [Subject(name=network.id, bench=partial(bench, network)) for network in material.networks]


def _reduces_range() -> bool:
    with open_device(load_profile("local-cpu")) as device:
        return needs_reduced_range(device.fingerprint())
