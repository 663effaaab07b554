"""Hardware profiles, ONNX Runtime sessions, the latency protocol and remote agents; sees ONNX bytes, never a graph."""

from hwnas.device.device import Device, open_device
from hwnas.device.fingerprint import Fingerprint
from hwnas.device.latency import Latency, Noise
from hwnas.device.model import InputSpec, input_specs, read_model
from hwnas.device.profile import HardwareProfile, Provider, Runtime, load_profile, profile_names
from hwnas.device.session import session

__all__ = [
    "Device",
    "Fingerprint",
    "HardwareProfile",
    "InputSpec",
    "Latency",
    "Noise",
    "Provider",
    "Runtime",
    "input_specs",
    "load_profile",
    "open_device",
    "profile_names",
    "read_model",
    "session",
]
