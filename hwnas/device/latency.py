"""What a measurement on a device gives: a latency with its interval, or how noisy the device is."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hwnas.device.agent import block_ratios, interval
from hwnas.errors import DeviceError

QUIET_SPREAD = 0.03
QUIET_OTHER_CORES = 0.3


def spread(blocks_ms: np.ndarray) -> float:
    """Half the distance between the 16th and the 84th percentile of block medians (n,), relative to their median."""
    low, middle, high = np.percentile(blocks_ms, (16, 50, 84))
    return float((high - low) / 2 / middle)


def undisturbed(blocks_ms: np.ndarray) -> float:
    """The least of block medians (n,): what disturbs only ever slows, and may slow most of the blocks (our definition).

    Beside two busy processes the median of 12 blocks varied by 15 % from one opening of a device to the next, this by 4 %.
    """
    return float(np.min(blocks_ms))


def other_cores(cpu_times: Sequence[Sequence[float] | None]) -> float | None:
    """How many cores other processes kept busy between two of the agent's `cpu_times`; None where it cannot tell."""
    start, end = cpu_times
    if start is None or end is None:
        return None
    wall_s, busy_s, own_s = (after - before for after, before in zip(end, start, strict=True))
    return max(0.0, busy_s - own_s) / max(wall_s, 1e-3)


def is_quiet(reference_spread: float, other_cores: float | None) -> bool:
    """Whether nothing disturbs: the reference's spread is at most 3 %, and others keep at most 0.3 cores busy."""
    return reference_spread <= QUIET_SPREAD and (other_cores is None or other_cores <= QUIET_OTHER_CORES)


_AS_MEASURED = ("raw_ms", "waiting", "samples", "runs_per_sample", "elapsed_s", "load_ms", "peak_memory_kb")


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """A measured latency; times in ms, memory in kB, the 95 % interval is latency_ms +- ci_ms.

    `latency_ms` is corrected for drift and for waiting as agent.py says; `raw_ms` is the plain median of what the clock said,
    and `waiting` the share of that time spent waiting for a core that other processes held. Percentiles are corrected, too;
    `samples` are means of `runs_per_sample` runs. `quiet` is false where the reference varied or other processes were busy.
    `peak_memory_kb` and `other_cores` are None where the device cannot tell.
    """

    latency_ms: float
    ci_ms: float
    raw_ms: float
    waiting: float
    p50_ms: float
    p90_ms: float
    p99_ms: float
    samples: int
    runs_per_sample: int
    blocks: int
    reference_ms: float
    reference_nominal_ms: float
    reference_spread: float
    elapsed_s: float
    load_ms: float
    peak_memory_kb: int | None
    other_cores: float | None
    quiet: bool
    fingerprint_sha256: str
    profile_sha256: str

    def __post_init__(self) -> None:
        for name in ("latency_ms", "raw_ms", "reference_ms", "reference_nominal_ms"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise DeviceError(f"expected a positive {name}, the device answered {value}; its clock may not advance")
        if not (math.isfinite(self.ci_ms) and self.ci_ms >= 0 and self.samples > 0):
            raise DeviceError(f"expected an interval from samples, got +- {self.ci_ms} ms from {self.samples}")

    @classmethod
    def from_blocks(
        cls, answer: Mapping[str, Any], *, nominal_ms: float, fingerprint_sha256: str, profile_sha256: str
    ) -> "Latency":
        """Evaluate what the agent's `measure` answered, by steps 3 and 4 of its protocol."""
        blocks_ms, reference_ms = np.asarray(answer["blocks_ms"]), np.asarray(answer["reference_ms"])
        centre, half = interval(block_ratios(blocks_ms, reference_ms))
        reference_now_ms, reference_spread = float(np.median(reference_ms)), spread(reference_ms)
        busy = other_cores(answer["cpu_times"])
        p50_ms, p90_ms, p99_ms = (float(value) * nominal_ms / reference_now_ms for value in answer["percentiles_ms"])
        return cls(
            latency_ms=centre * nominal_ms,
            ci_ms=half * nominal_ms,
            p50_ms=p50_ms,
            p90_ms=p90_ms,
            p99_ms=p99_ms,
            blocks=len(blocks_ms),
            reference_ms=reference_now_ms,
            reference_nominal_ms=nominal_ms,
            reference_spread=reference_spread,
            other_cores=busy,
            quiet=is_quiet(reference_spread, busy),
            fingerprint_sha256=fingerprint_sha256,
            profile_sha256=profile_sha256,
            **{name: answer[name] for name in _AS_MEASURED},
        )

    @property
    def half_width(self) -> float:
        """Half-width of the 95 % interval relative to the latency."""
        return self.ci_ms / self.latency_ms

    def at_nominal(self, nominal_ms: float) -> "Latency":
        """The same measurement corrected to another nominal latency of the reference model."""
        scale = nominal_ms / self.reference_nominal_ms
        corrected = {name: getattr(self, name) * scale for name in ("latency_ms", "ci_ms", "p50_ms", "p90_ms", "p99_ms")}
        return dataclasses.replace(self, **corrected, reference_nominal_ms=nominal_ms)

    def to_json(self) -> dict[str, Any]:
        """The fields as a plain dict for JSON."""
        return dataclasses.asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Noise:
    """How the reference model fares right now: median in ms, relative spread of its blocks, cores busy with other work."""

    reference_ms: float
    spread: float
    other_cores: float | None
    quiet: bool

    @classmethod
    def from_blocks(cls, answer: Mapping[str, Any]) -> "Noise":
        """Evaluate what the agent's `noise` answered."""
        reference_ms, busy = np.asarray(answer["reference_ms"]), other_cores(answer["cpu_times"])
        varies = spread(reference_ms)
        return cls(reference_ms=float(np.median(reference_ms)), spread=varies, other_cores=busy, quiet=is_quiet(varies, busy))
