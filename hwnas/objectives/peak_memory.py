"""The memory that a network's process took at most while its latency was measured."""

from typing import TYPE_CHECKING

from hwnas.objective import Objective
from hwnas.objectives.source import DeviceObjective

if TYPE_CHECKING:
    from hwnas.device import Latency

LEAST_KB = 1.0  # it is compared by its logarithm


class PeakMemoryKb(DeviceObjective):
    """By how much the process's resident memory grew at most, ONNX Runtime's own buffers included, in units of 1,024 bytes.

    Pages are counted, so that tiny networks do not differ: the resolution is a tenth.
    """

    objective = Objective(
        name="peak_memory_kb", title="peak memory", unit="kB", log_scale=True, resolution=0.1, relative=True, text="count"
    )

    def of_device(self, measurement: "Latency") -> float | None:
        """What was measured; None where the device's system does not count it (Linux does)."""
        return None if measurement.peak_memory_kb is None else max(LEAST_KB, float(measurement.peak_memory_kb))
