"""An ONNX Runtime session in this process, set up as a profile says."""

import onnxruntime

from hwnas.device.agent import AgentError, open_session
from hwnas.device.link import as_error
from hwnas.device.model import parse
from hwnas.device.profile import HardwareProfile
from hwnas.errors import ProfileError


def session(model: bytes, profile: HardwareProfile) -> onnxruntime.InferenceSession:
    """A session for ONNX bytes with the profile's providers and threads, sequential, its log silent.

    Raises:
        ProfileError: an analytic profile.
        ModelError: not ONNX, tensors kept outside, or an operator that no provider has.
        DeviceError: a provider that this onnxruntime lacks.
    """
    if profile.runtime is None:
        raise ProfileError(f"profile {profile.name!r} is analytic; it runs no models")
    parse(model)
    try:
        return open_session(model, profile.runtime.model_dump())
    except AgentError as error:
        raise as_error(error.kind, str(error)) from error
