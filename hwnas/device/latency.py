"""What a measurement on a device gives: a latency with its interval, a fingerprint, a noise check."""

import dataclasses
import hashlib
import json
import math
from dataclasses import dataclass
from typing import Any

from hwnas.errors import DeviceError


@dataclass(frozen=True, slots=True, kw_only=True)
class Fingerprint:
    """What a device is. Memory in kB; None where the device cannot say; `int8_dot` lists its int8 dot instructions."""

    cpu: str
    architecture: str
    cores: int
    memory_kb: int | None
    governor: str | None
    system: str
    python: str
    onnxruntime: str
    providers: tuple[str, ...]
    int8_dot: tuple[str, ...] | None

    def sha256(self) -> str:
        """Hash of what decides how fast and how exactly it computes: not the governor, kernel, Python or memory size."""
        identity = (self.cpu, self.architecture, self.cores, self.onnxruntime, self.providers, self.int8_dot)
        return hashlib.sha256(json.dumps(identity).encode()).hexdigest()

    @property
    def has_int8_dot(self) -> bool | None:
        """Whether int8 products are added up without saturation; x86 without it needs `reduce_range` when quantising."""
        return None if self.int8_dot is None else bool(self.int8_dot)

    def to_json(self) -> dict[str, Any]:
        """The fields as a plain dict for JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> "Fingerprint":
        """The inverse of `to_json`."""
        int8_dot = fields["int8_dot"]
        return cls(
            **{
                **fields,
                "providers": tuple(fields["providers"]),
                "int8_dot": None if int8_dot is None else tuple(int8_dot),
            }
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """A measured latency; times in ms, memory in kB, the 95 % interval is latency_ms +- ci_ms.

    `latency_ms` is corrected for drift by the reference model, `raw_ms` is not. `samples` are means of `runs_per_sample` runs;
    percentiles are over samples, drift-corrected. `quiet` is false where the reference varied or other processes were busy.
    `peak_memory_kb` and `other_cores` are None where the device cannot tell.
    """

    latency_ms: float
    ci_ms: float
    raw_ms: float
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

    @property
    def half_width(self) -> float:
        """Half-width of the 95 % interval relative to the latency."""
        return self.ci_ms / self.latency_ms

    def to_json(self) -> dict[str, Any]:
        """The fields as a plain dict for JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> "Latency":
        """The inverse of `to_json`."""
        return cls(**fields)


@dataclass(frozen=True, slots=True, kw_only=True)
class Noise:
    """How the reference model fares right now: median in ms, relative spread of its blocks, cores busy with other work."""

    reference_ms: float
    spread: float
    other_cores: float | None
    quiet: bool
