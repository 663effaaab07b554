"""The number formats a file can compute in."""

from typing import Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from hwnas.device import Fingerprint
from hwnas.errors import ConfigError

Precision: TypeAlias = Literal["float32", "float16", "int8"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
X86 = ("x86_64", "amd64", "i386", "i686")


def convert(
    float32: bytes,
    precision: Precision,
    *,
    calibration: NDArray[np.float32] | None = None,
    reduce_range: bool = False,
) -> bytes:
    """A model that ``emit`` wrote, in another precision.

    Small networks take 20 to 50 ms for int8 and 2 ms for float16; the first call imports for 100 ms more.

    Args:
        float32: the model.
        precision: one of PRECISIONS; float32 gives the model itself.
        calibration: training images (n, C, H, W) in [0, 1]; int8 needs them.
        reduce_range: 7-bit int8 weights, see ``needs_reduced_range``.

    Raises:
        ConfigError: int8 without calibration images.
    """
    if precision == "float32":
        return float32
    from hwnas.export.quantise import to_float16, to_int8  # slow to import, seldom needed

    if precision == "float16":
        return to_float16(float32)
    if calibration is None or not len(calibration):
        raise ConfigError("int8 needs training images to calibrate on; give the data, or leave int8 out")
    return to_int8(float32, calibration, reduce_range=reduce_range)


def needs_reduced_range(fingerprint: Fingerprint) -> bool:
    """Whether int8 weights must keep to 7 bits: an x86 CPU without int8 dot instructions, or one that does not say.

    Such a CPU adds pairs of products in 16 bits, which saturate; 7-bit weights cannot fill them.
    """
    return fingerprint.architecture.lower() in X86 and not fingerprint.has_int8_dot
