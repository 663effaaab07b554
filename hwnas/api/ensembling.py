"""Networks of a run that answer together."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hwnas.api.checking import NUMBER, PATH, checked
from hwnas.api.files import ENSEMBLE, Output
from hwnas.api.run import open_run
from hwnas.errors import ConfigError

if TYPE_CHECKING:
    from hwnas.models.ensemble_of_run import Chosen
    from hwnas.models.ensembling import Scores

AMONG = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Ensemble:
    """Networks that answer with the mean of their probabilities, beside the best single one within the same latency.

    ``latency_ms`` is the sum of what was measured of the members, ``measured_ms`` what was measured of the ``file``; None where
    nothing was. ``test`` scores touch the test images, which chose nothing.
    """

    members: tuple[str, ...]
    single: str
    validation: "Scores"
    single_validation: "Scores"
    test: "Scores"
    single_test: "Scores"
    latency_ms: float | None
    single_latency_ms: float | None
    measured_ms: float | None = None
    file: Path | None = None


@checked(folder=PATH, size=int, max_latency_ms=NUMBER, out=PATH, among=int, replace=bool)
def ensemble(
    folder: str | os.PathLike[str],
    *,
    size: int = 3,
    max_latency_ms: float | None = None,
    out: str | os.PathLike[str] | None = None,
    among: int = AMONG,
    replace: bool = False,
) -> Ensemble:
    """Choose up to ``size`` networks of a run that answer best together, and write them as one checked ONNX file.

    Among the front and the ``among`` most accurate others, by the mean negative log-likelihood of the validation images
    (``hwnas.models.ensembling``); the sum of the latencies that the run measured is at most ``max_latency_ms``. ``out``: the
    file, which then is measured on the run's device, too; None: nothing is written.

    Raises ConfigError for sizes and limits that cannot be, RequestError where no network is within the limit or has its weights,
    DataError where the data are not the run's, ExportError where the file does not answer as its networks do.

    Example: ``hwnas.ensemble("runs/mine", size=3, max_latency_ms=5, out="ensemble.onnx")``
    """
    from hwnas.models.ensemble_of_run import choose

    if size < 2 or among < 0:
        raise ConfigError(f"an ensemble has two networks at least, chosen among others, got size {size}, among {among}")
    if max_latency_ms is not None and not max_latency_ms > 0:
        raise ConfigError(f"max_latency_ms must be above 0, got {max_latency_ms:g}")
    output = None
    if out is not None:
        output = Output(path=Path(out), kind=ENSEMBLE, replace=replace)
        output.refuse_unwritable()
    finished = [entry for entry in open_run(folder).rows() if entry.status == "finished"]
    others = sorted((each for each in finished if not each.on_front), key=lambda each: each.value("error") or 0.0)
    names = [each.id for each in (*(each for each in finished if each.on_front), *others[:among])]
    chosen = choose(Path(folder), names, size=size, most_ms=max_latency_ms, writes=output is not None)
    if output is not None and chosen.model is not None:
        output.write_bytes(chosen.model)
    return _told(chosen, None if output is None or chosen.model is None else output.path)


def _told(chosen: "Chosen", file: Path | None) -> Ensemble:
    return Ensemble(
        members=chosen.members,
        single=chosen.single,
        validation=chosen.validation,
        single_validation=chosen.single_validation,
        test=chosen.test,
        single_test=chosen.single_test,
        latency_ms=chosen.latency_ms,
        single_latency_ms=chosen.single_latency_ms,
        measured_ms=chosen.measured_ms,
        file=file,
    )


def ensemble_table(found: Ensemble) -> tuple[list[str], list[Sequence[str]]]:
    """Column titles and rows: the ensemble, and the best single network within the same latency."""
    from hwnas.objectives.share import percent, with_range

    def row(name: str, validation: "Scores", test: "Scores", latency_ms: float | None) -> Sequence[str]:
        return (
            name,
            with_range(validation.error, validation.low, validation.high),
            f"{validation.nll:.3f}",
            percent(validation.calibration_error),
            with_range(test.error, test.low, test.high),
            f"{test.nll:.3f}",
            percent(test.calibration_error),
            "" if latency_ms is None else f"{latency_ms:.3g}",
        )

    titles = ["networks", "error (95 %)", "NLL", "calibration", "test error (95 %)", "test NLL", "test calibration", "ms"]
    latency_ms = found.latency_ms if found.measured_ms is None else found.measured_ms
    return titles, [
        row(" + ".join(found.members), found.validation, found.test, latency_ms),
        row(found.single, found.single_validation, found.single_test, found.single_latency_ms),
    ]
