"""Exported bundles, checked again."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hwnas.api.checking import PATH, checked

if TYPE_CHECKING:
    from hwnas.export import FileReport
    from hwnas.models.exporting import RecomputedError


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleCheck:
    """What became of one file of a bundle; ``test`` is its test error on the data given (None: not computed)."""

    file: "FileReport"
    test: "RecomputedError | None" = None

    def __repr__(self) -> str:
        return f"<{self.file.name}: {self.problem or 'as it was exported'}>"

    @property
    def problem(self) -> str | None:
        """What is wrong with it; None where nothing is."""
        if self.file.problem is None and self.test is not None and not self.test.agrees:
            return f"its test error is {self.test.error:.4f}, its metadata say {self.test.stated}"
        return self.file.problem

    @property
    def passed(self) -> bool:
        """Whether nothing is wrong with it."""
        return self.problem is None


@checked(bundle=PATH, data=str, device=str)
def verify(bundle: str | os.PathLike[str], data: str | None = None, *, device: str = "local-cpu") -> list[BundleCheck]:
    """Check every file of a bundle: its hash, what it computes on the stored inputs and, with ``data``, its test error.

    ``device``: the name or path of the profile of the device that computes it all. Raises ModelError where the folder is no
    bundle, DataError where the data are not those its errors were computed on, DeviceError where the device cannot be reached.

    Example: ``all(check.passed for check in hwnas.verify("bundle", "photos"))``
    """
    from hwnas.device import load_profile, open_device
    from hwnas.device.trial import try_apart
    from hwnas.export import read_manifest, verify_bundle

    profile, place = load_profile(device), Path(bundle)
    if profile.connection.type == "local":
        names = [file.name for file in read_manifest(place).files]
        try_apart({name: (place / name).read_bytes() for name in names if (place / name).is_file()})
    with open_device(profile) as opened:
        reports = verify_bundle(bundle, opened.predict)
        if data is None or not all(report.passed for report in reports):
            return [BundleCheck(file=report) for report in reports]
        from hwnas.models.exporting import recomputed_errors

        errors = recomputed_errors(Path(bundle), data, opened.predict)
        return [BundleCheck(file=report, test=errors[report.name]) for report in reports]
