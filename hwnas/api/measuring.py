"""Devices, and latencies measured on them."""

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hwnas.api.checking import PATH, checked
from hwnas.errors import HwnasError

if TYPE_CHECKING:
    from hwnas.device import Fingerprint, HardwareProfile, Latency, Noise


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceCheck:
    """A profile and, where its device was reached, what it is and how quiet; ``problem`` says why it was not."""

    name: str
    profile: "HardwareProfile"
    fingerprint: "Fingerprint | None" = None
    noise: "Noise | None" = None
    problem: str | None = None

    def __repr__(self) -> str:
        return f"<device {self.name}, {self.profile.description}{f': {self.problem}' if self.problem else ''}>"

    @property
    def reached(self) -> str:
        """How the device is reached."""
        if self.profile.runtime is None:
            return "nothing: its latencies are computed, not measured"
        connection = self.profile.connection
        return "here" if connection.type == "local" else f"SSH to {connection.host}"

    def facts(self) -> dict[str, str]:
        """What there is to say, by name."""
        facts = {"profile": f"{self.name}: {self.profile.description}", "reached by": self.reached}
        if self.problem is not None:
            facts["problem"] = self.problem
        if self.fingerprint is not None:
            facts |= self.fingerprint.in_words()
        if self.noise is not None:
            busy = "" if self.noise.other_cores is None else f", others keep {self.noise.other_cores:.2f} cores busy"
            facts["noise"] = f"a fixed yardstick model, run in between, varies by {self.noise.spread:.1%}{busy}"
            facts["quiet"] = "yes" if self.noise.quiet else "no: other programs disturb, so measurements will have wide intervals"
        return facts


def profile_of(device: str) -> "HardwareProfile":
    """The hardware profile of that name or in that file. Raises ProfileError."""
    from hwnas.device import load_profile

    return load_profile(device)


@checked(model=PATH, shapes=Mapping)
def measure(
    model: str | os.PathLike[str], device: "str | HardwareProfile" = "local-cpu", *, shapes: Mapping[str, int] | None = None
) -> "tuple[Latency, Fingerprint]":
    """The latency of any ONNX file on a device, to its profile's own target, and what the device is.

    ``shapes`` settles symbolic dimensions by name. Raises ModelError, ProfileError, DeviceError.

    Example: ``latency, fingerprint = hwnas.measure("model.onnx", "local-cpu")``
    """
    from hwnas.device import open_device, read_model
    from hwnas.device.trial import try_apart

    profile, content = profile_of(device) if isinstance(device, str) else device, read_model(model)
    if profile.connection.type == "local":
        try_apart({os.fspath(model): content})
    target = profile.measurement
    with open_device(profile) as opened:
        latency = opened.measure(content, half_width=target.half_width, time_limit_s=target.time_limit_s, shapes=shapes)
        return latency, opened.fingerprint()


def measured_facts(device: str, profile: "HardwareProfile", latency: "Latency", fingerprint: "Fingerprint") -> dict[str, str]:
    """What there is to say of a measurement, by name."""
    from hwnas.report import with_interval

    percentiles = {"50 %": latency.p50_ms, "90 %": latency.p90_ms, "99 %": latency.p99_ms}
    facts = {
        "latency": f"{with_interval(latency.latency_ms, latency.ci_ms)} ms (95 % interval)",
        "as timed": f"{latency.raw_ms:.3g} ms, before disturbance was subtracted",
        "samples": f"{latency.samples:,} in {latency.blocks} blocks, {latency.elapsed_s:.1f} s",
        "percentiles": ", ".join(f"{name}: {value:.3g} ms" for name, value in percentiles.items()),
        "memory": "unknown" if latency.peak_memory_kb is None else f"{latency.peak_memory_kb:,} kB at most",
        "loading": f"{latency.load_ms:.1f} ms",
        "quiet": "yes" if latency.quiet else "no: other programs disturbed the measurement, so its interval is wide",
        "device": f"{device}: {fingerprint.cpu}, ONNX Runtime {fingerprint.onnxruntime}",
    }
    if profile.precision != "float32":
        facts["precision"] = f"the file's own; {profile.precision} is what this profile's searches bring their networks to"
    return facts


def devices(*, check: bool = False, names: Sequence[str] | None = None) -> list[DeviceCheck]:
    """The hardware profiles that come with hwnas, or those named; ``check`` reaches each device and looks how quiet it is.

    Example: ``[check.facts() for check in hwnas.devices(check=True, names=["local-cpu"])]``
    """
    from hwnas.device import load_profile, profile_names

    profiles = {name: load_profile(name) for name in names or profile_names()}
    if not check:
        return [DeviceCheck(name=name, profile=profile) for name, profile in profiles.items()]
    checks = {name: _checked(name, profile) for name, profile in profiles.items() if profile.connection.type == "local"}
    remote = {name: profile for name, profile in profiles.items() if name not in checks}
    with ThreadPoolExecutor() as pool:  # each may keep us waiting
        checks |= zip(remote, pool.map(_checked, remote, remote.values()), strict=True)
    return [checks[name] for name in profiles]


def new_profile(kind: str) -> str:
    """The text of a profile to fill in, of a device that is reached by ``ssh`` or is this machine (``local``).

    Example: ``Path("pi.toml").write_text(hwnas.api.new_profile("ssh"))``
    """
    from hwnas.device.new_profile import new_profile

    return new_profile(kind)


def profiles_folder() -> Path:
    """Where the profiles lie that come with hwnas."""
    from hwnas.device.profile import profiles_folder

    return profiles_folder()


def _checked(name: str, profile: "HardwareProfile") -> DeviceCheck:
    from hwnas.device import open_device

    if profile.runtime is None:
        return DeviceCheck(name=name, profile=profile)
    try:
        with open_device(profile) as opened:
            return DeviceCheck(name=name, profile=profile, fingerprint=opened.fingerprint(), noise=opened.noise())
    except HwnasError as error:
        return DeviceCheck(name=name, profile=profile, problem=str(error))
