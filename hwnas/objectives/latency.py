"""The objective that is measured on the device, and predicted from what was measured."""

from typing import TYPE_CHECKING

from hwnas.objective import Objective
from hwnas.objectives.source import DeviceObjective

if TYPE_CHECKING:
    from hwnas.device import Latency


class LatencyMs(DeviceObjective):
    """The latency of one image; the one measured objective that is cheap, as it is predicted, or computed by an accelerator's
    numbers. Its resolution is twice the half-width of 5 % that a search aims at (DESIGN.md, idea 7)."""

    objective = Objective(
        name="latency_ms",
        title="latency",
        unit="ms",
        cheap=True,
        predicted=True,
        log_scale=True,
        resolution=0.1,
        relative=True,
        interval="latency_ci_ms",
        shown=True,
    )

    def of_device(self, measurement: "Latency") -> float:
        """What was measured, corrected for drift."""
        return measurement.latency_ms
