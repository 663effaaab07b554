"""Fault campaigns on a run's networks and on ONNX files: where a run, its data and the injection meet, behind ``Run.faults``."""

from collections.abc import Sequence
from pathlib import Path

import torch

from hwnas.device import load_profile, open_device
from hwnas.experiment.faulting import FaultMaterial, fault_material
from hwnas.export import convert, emit, needs_reduced_range
from hwnas.injection import Examples, FaultReport, FaultSettings, QdqBench, Subject, onnx_subject, study, trained
from hwnas.injection.campaign import Watch
from hwnas.injection.settings import FaultName
from hwnas.store import Row, RunStore

FOLDER = "faults"  # in the run's folder: one file for each campaign
DEFAULT_FAULTS: tuple[FaultName, ...] = ("single", "ber")


def fault_study(
    store: RunStore,
    rows: Sequence[Row],
    files: Sequence[Path],
    settings: FaultSettings,
    faults: Sequence[FaultName],
    watch: Watch,
) -> FaultReport:
    """Fault networks of a run and ONNX files on the run's validation images; campaign files lie in the run's folder."""
    torch.set_num_threads(1)
    material = fault_material(store, rows)
    examples = Examples(images=material.images, labels=material.labels)
    subjects = [*_own(material, settings), *(onnx_subject(file, settings.dtype) for file in files)]
    return study(subjects, examples, settings, faults, folder=store.folder / FOLDER, watch=watch)


def _own(material: FaultMaterial, settings: FaultSettings) -> list[Subject]:
    statistics = {"mean": material.mean, "std": material.std}
    if settings.dtype != "int8":
        return [
            trained(network.id, network.graph, network.state, settings.dtype, **statistics) for network in material.networks
        ]
    reduce_range = _reduces_range()
    return [
        Subject(
            name=network.id,
            bench=lambda network=network: QdqBench(  # type: ignore[misc]
                convert(
                    emit(network.graph, network.state, **statistics),
                    "int8",
                    calibration=material.calibration,
                    reduce_range=reduce_range,
                )
            ),
        )
        for network in material.networks
    ]


def _reduces_range() -> bool:
    with open_device(load_profile("local-cpu")) as device:
        return needs_reduced_range(device.fingerprint())
