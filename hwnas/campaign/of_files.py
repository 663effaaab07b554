"""Fault campaigns on anybody's ONNX classifiers and data, without a run."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from hwnas.campaign.campaign import Campaign, Watch
from hwnas.campaign.images import Examples
from hwnas.campaign.results import FaultReport
from hwnas.campaign.settings import FaultName, FaultSettings
from hwnas.campaign.study import Subject, onnx_subject, study
from hwnas.data import DataSet, DataSettings, Split, load, normalise
from hwnas.device import read_model
from hwnas.device.model import parse
from hwnas.errors import DataError
from hwnas.execution.threads import one_thread
from hwnas.onnxfiles.image_input import image_of
from hwnas.onnxfiles.translation import FLOATS

CALIBRATION_IMAGES = 256
UNNORMALISED = (0.0, 1.0)  # images from 0 to 1, as hwnas's own files take them
CHECKED = 200  # images that a file is tried on before it is faulted
GUESSING = 0.9  # of the error of guessing: a file that errs more often most likely takes other images


@one_thread()
def file_study(
    files: Sequence[Path],
    data_settings: DataSettings,
    settings: FaultSettings,
    faults: Sequence[FaultName],
    folder: Path,
    watch: Watch,
    *,
    validation_images: int | None = None,
    threads: int = 1,
) -> FaultReport:
    """Fault ONNX files on the validation images of a data set; campaign files lie in ``folder``.

    Images are brought to the size that the files take, from 0 to 1 or as ``data_settings.normalisation`` says, and the first
    ``validation_images`` of an even spread are met. Raises RequestError where files and data do not fit each other.
    """
    data = load(replace(data_settings, image_size=_size(files)))
    if data_settings.normalisation is None:
        data = load(replace(data_settings, image_size=_size(files), normalisation=UNNORMALISED))
    chosen, calibration = _spread(data.validation, validation_images), _spread(data.train, CALIBRATION_IMAGES)
    examples = Examples(images=normalise(chosen.images, data).numpy(), labels=chosen.labels.numpy())
    taken = normalise(calibration.images, data).numpy()
    subjects = [onnx_subject(file, settings.dtype, calibration=taken) for file in files]
    few = _spread(chosen, CHECKED)
    tried = Examples(images=normalise(few.images, data).numpy(), labels=few.labels.numpy())
    for subject in subjects:
        refuse_other_classes(subject, len(data.classes))
        _refuse_guessing(subject, Campaign(subject.name, subject.bench(), tried, settings).clean_error(), data)
    return study(subjects, examples, settings, faults, folder=folder, watch=watch, threads=threads)


def refuse_other_classes(subject: Subject, classes: int) -> None:
    """Raise DataError where a file has not an output for each class: its decisions would be about something else."""
    outputs = subject.bench().classes
    if outputs != classes:
        has = "1 output" if outputs == 1 else f"{outputs} outputs"
        raise DataError(
            f"{subject.name} has {has} and the data have {classes} classes; give data of the classes that it was "
            "trained for, all of them and in that order (class folders are sorted by name)"
        )


def _refuse_guessing(subject: Subject, clean_error: float, data: DataSet) -> None:
    """Raise DataError where a file knows no more than guessing, so that its figures would say nothing."""
    if clean_error >= GUESSING * (1 - 1 / len(data.classes)):
        raise DataError(
            f"without any fault {subject.name} is wrong on {clean_error:.1%} of the images, hardly less than by guessing: does "
            "it take normalised images (--normalisation imagenet, or means and standard deviations), or are its classes in "
            "another order?"
        )


def _size(files: Sequence[Path]) -> tuple[int, int]:
    """The height and width that the files take. Raises DataError where they differ."""
    sizes = {}
    for file in files:
        graph = parse(read_model(file)).graph
        sizes[file.name] = image_of(graph, {tensor.name for tensor in graph.initializer}, FLOATS)[1][1:]
    if len(set(sizes.values())) > 1:
        listed = ", ".join(f"{name} {height}x{width}" for name, (height, width) in sizes.items())
        raise DataError(f"the files take images of different sizes ({listed}); fault them one after the other")
    height, width = next(iter(sizes.values()))
    return height, width


def _spread(split: Split, count: int | None) -> Split:
    """``count`` images evenly spread over a split; all of it where it has no more."""
    images = len(split)
    if count is None or count >= images:
        return split
    return split.rows(torch.arange(count) * images // count)
