"""Fault campaigns on a run's networks and on ONNX files: where a run, its data and the injection meet, behind ``Run.faults``."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from hwnas.device import load_profile, open_device
from hwnas.experiment.faulting import FaultMaterial, TrainedNetwork, fault_material
from hwnas.experiment.threads import one_thread
from hwnas.export import convert, emit, needs_reduced_range
from hwnas.injection import Bench, Examples, FaultReport, FaultSettings, QdqBench, Subject, onnx_subject, study, trained
from hwnas.injection.campaign import Watch
from hwnas.injection.settings import FaultName
from hwnas.store import Row, RunStore

FOLDER = "faults"  # in the run's folder: one file for each campaign
DEFAULT_FAULTS: tuple[FaultName, ...] = ("single", "ber")


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

    ``threads`` networks at a time.
    """
    material = fault_material(store, rows)
    examples = Examples(images=material.images, labels=material.labels)
    own, calibration = _own(material, settings), material.calibration
    subjects = [*own, *(onnx_subject(file, settings.dtype, calibration=calibration) for file in files)]
    return study(subjects, examples, settings, faults, folder=store.folder / FOLDER, watch=watch, threads=threads)


def _own(material: FaultMaterial, settings: FaultSettings) -> list[Subject]:
    mean, std, images = material.mean, material.std, material.calibration
    if settings.dtype != "int8":
        return [
            trained(n.id, n.graph, n.state, settings.dtype, mean=mean, std=std, calibration=images) for n in material.networks
        ]
    reduce_range = _reduces_range()

    def bench(network: TrainedNetwork) -> Bench:
        model = emit(network.graph, network.state, mean=mean, std=std)
        return QdqBench(convert(model, "int8", calibration=images, reduce_range=reduce_range))

    return [Subject(name=network.id, bench=partial(bench, network)) for network in material.networks]


def _reduces_range() -> bool:
    with open_device(load_profile("local-cpu")) as device:
        return needs_reduced_range(device.fingerprint())
