"""A device that models are measured on: `open_device(profile)` gives one, here or over SSH."""

import threading
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Protocol, Self

import numpy as np

from hwnas.device.agent import facts
from hwnas.device.fingerprint import Fingerprint
from hwnas.device.latency import Latency, Noise, undisturbed
from hwnas.device.link import Link, LocalLink
from hwnas.device.model import input_specs, random_feeds
from hwnas.device.profile import HardwareProfile
from hwnas.device.reference import reference_model
from hwnas.errors import DeviceError, ModelError, ProfileError

PREDICT_BATCH = 256


class Device(Protocol):
    """What a search, an export and the command line need from a device."""

    @property
    def reference_nominal_ms(self) -> float:
        """The reference model's nominal latency, to which drift is corrected; a run keeps it."""

    @property
    def is_elsewhere(self) -> bool:
        """Whether it is known to be another machine, so that work done here disturbs no measurement there."""

    def fingerprint(self) -> Fingerprint:
        """What the device is."""

    def measure(
        self, model: bytes, *, half_width: float, time_limit_s: float, shapes: Mapping[str, int] | None = None
    ) -> Latency:
        """The latency of an ONNX model; `half_width` of the 95 % interval is relative to it."""

    def predict(self, model: bytes, inputs: np.ndarray) -> np.ndarray:
        """The first output for inputs (n, ...) of a model with one input, computed by the device itself."""

    def noise(self, duration_s: float = 0.5) -> Noise:
        """How much the reference model varies on the device right now."""

    def close(self) -> None:
        """Let go of the device; closing twice does nothing."""

    def __enter__(self) -> Self: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None: ...


class LinkedDevice:
    """A device behind a link to its agent; requests from several threads wait for each other, or they would disturb."""

    def __init__(self, profile: HardwareProfile, link: Link, reference_nominal_ms: float | None) -> None:
        self._profile_sha256 = profile.sha256()
        self._name = profile.name
        self._link = link
        self._lock = threading.Lock()
        self._is_closed = False
        self._fingerprint = Fingerprint.from_facts(link.configured["facts"])
        self._fingerprint_sha256 = self._fingerprint.sha256()
        here, there = facts()["boot_id"], link.configured["facts"]["boot_id"]  # of the running kernel; empty where unknown
        self._is_elsewhere = bool(here and there and here != there)
        self._nominal_ms = reference_nominal_ms or undisturbed(link.configured["reference_ms"])

    def _call(self, op: str, arguments: Mapping[str, Any], time_limit_s: float) -> Mapping[str, Any]:
        with self._lock:
            if self._is_closed:
                raise DeviceError(f"device {self._name!r} was closed; open it again")
            return self._link.call(op, arguments, time_limit_s)

    @property
    def reference_nominal_ms(self) -> float:
        """The reference model's nominal latency, to which drift is corrected; a run keeps it."""
        return self._nominal_ms

    @property
    def is_elsewhere(self) -> bool:
        """Whether it is known to be another machine, so that work done here disturbs no measurement there; SSH may lead here."""
        return self._is_elsewhere

    def fingerprint(self) -> Fingerprint:
        """What the device is."""
        return self._fingerprint

    def measure(
        self, model: bytes, *, half_width: float, time_limit_s: float, shapes: Mapping[str, int] | None = None
    ) -> Latency:
        """The latency of an ONNX model by the protocol of agent.py, on random inputs of its declared shapes.

        Args:
            model: ONNX bytes, tensors inside.
            half_width: target for the half-width of the 95 % interval, relative to the latency.
            time_limit_s: when to stop without having reached it; the model's loading comes on top.
            shapes: sizes of symbolic dimensions by name; a symbolic batch is 1.

        Raises:
            ModelError: the model is corrupt, keeps tensors outside, or cannot run there.
            DeviceError: the device cannot do it; DeviceUnreachableError if it no longer answers.
        """
        arguments = {
            "model": model,
            "feeds": random_feeds(input_specs(model, shapes)),
            "half_width": half_width,
            "time_limit_s": time_limit_s,
        }
        answer = self._call("measure", arguments, time_limit_s)
        return Latency.from_blocks(
            answer,
            nominal_ms=self._nominal_ms,
            fingerprint_sha256=self._fingerprint_sha256,
            profile_sha256=self._profile_sha256,
        )

    def predict(self, model: bytes, inputs: np.ndarray) -> np.ndarray:
        """The first output for inputs (n, ...) of a model with one input; in batches of 256, or of the size that it fixes."""
        specs = input_specs(model)
        if len(specs) != 1 or len(inputs) == 0:
            raise ModelError(f"expected a model with one input and at least one row, got {len(specs)} and {len(inputs)}")
        size = specs[0].fixed_batch or PREDICT_BATCH
        if specs[0].fixed_batch and len(inputs) % size:
            raise ModelError(f"the model takes batches of {size}, and {len(inputs)} rows are no multiple of it")
        outputs = [
            self._call("predict", {"model": model, "feeds": {specs[0].name: batch}}, 0.0)["output"]
            for batch in np.split(inputs, range(size, len(inputs), size))
        ]
        return np.concatenate(outputs)

    def noise(self, duration_s: float = 0.5) -> Noise:
        """How much the reference model varies on the device right now."""
        return Noise.from_blocks(self._call("noise", {"duration_s": duration_s}, duration_s))

    def close(self) -> None:
        """Let go of the device once the request that it is at is answered; closing twice does nothing.

        On a link that is dead, too, this waits for a running request: up to that request's time limit and the profile's
        `answer_timeout_s`, and while the device is looked for (`reconnect_limit_s`), three times at most.
        """
        with self._lock:
            self._is_closed = True
            self._link.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def open_device(profile: HardwareProfile, *, reference_nominal_ms: float | None = None) -> Device:
    """Reach the profile's device and get it ready to measure.

    Args:
        profile: of kind "onnxruntime".
        reference_nominal_ms: the run's nominal latency of the reference model; None takes the least of its blocks now.

    Raises:
        ProfileError: an analytic profile.
        DeviceError: the device lacks what the profile asks for; DeviceUnreachableError if it cannot be reached.
    """
    if profile.runtime is None:
        raise ProfileError(f"profile {profile.name!r} is analytic; nothing can be measured on it")
    configuration = {
        "runtime": profile.runtime.model_dump(),
        "model": reference_model(),
        "feeds": random_feeds(input_specs(reference_model())),
    }
    if profile.connection.type == "local":
        return LinkedDevice(profile, LocalLink(configuration), reference_nominal_ms)
    try:
        from hwnas.device.ssh import SshLink
    except ModuleNotFoundError as error:
        raise DeviceError('a device behind SSH needs asyncssh; install it with: pip install "hwnas[ssh]"') from error
    return LinkedDevice(profile, SshLink(profile.connection, configuration), reference_nominal_ms)
