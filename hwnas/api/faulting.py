"""Fault campaigns without a run: ``hwnas faults --onnx F.onnx --data PATH``."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from hwnas.api.checking import PATH, checked
from hwnas.api.options import merged_config, physical_cores
from hwnas.errors import ConfigError, RequestError

if TYPE_CHECKING:
    from hwnas.campaign import FaultReport
    from hwnas.campaign.campaign import Watch
    from hwnas.campaign.settings import FaultOptions


@checked(onnx=Sequence, data=str, folder=PATH, faults=Sequence, validation_images=int)
def faults(
    onnx: Sequence[str | os.PathLike[str]],
    data: str,
    *,
    folder: str | os.PathLike[str] = "faults",
    faults: Sequence[str] = ("single", "ber"),
    validation_images: int | None = None,
    watch: "Watch | None" = None,
    normalisation: tuple[float, ...] | str | None = None,
    validation: str | None = None,
    group_by: str | None = None,
    **settings: "Unpack[FaultOptions]",
) -> "FaultReport":
    """Fault-injection campaigns on ONNX classifiers of any origin, on the validation images of ``data``.

    ``settings`` are those of ``hwnas.campaign.FaultSettings``: target, dtype, bers, half_width, seed, .. Campaigns lie in
    ``folder`` and are gone on with. Raises RequestError where files and data do not fit each other.

    Example: ``hwnas.faults(["model.onnx"], "photos", faults=["ber"], bers=[1e-6, 1e-5])``
    """
    from hwnas.campaign.of_files import file_study
    from hwnas.campaign.settings import fault_settings

    wanted, names = fault_settings(settings, faults)
    if not onnx:
        raise RequestError("nothing to fault: name ONNX classifiers with --onnx FILE, or a run")
    if validation_images is not None and validation_images < 2:
        raise ConfigError(f"at least two validation images are needed, got {validation_images}")
    options = {"data": data, "normalisation": normalisation, "validation": validation, "group_by": group_by}
    config = merged_config({}, {name: value for name, value in options.items() if value is not None})
    return file_study(
        [Path(file) for file in onnx],
        config.data_settings,
        wanted,
        names,
        Path(folder),
        watch or (lambda stage: None),
        validation_images=validation_images,
        threads=physical_cores(),
    )
