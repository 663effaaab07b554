"""A network as the run's device runs it: its ONNX file in the profile's precision, and how often that file is wrong."""

import numpy as np
import torch
from numpy.typing import NDArray

from hwnas.data import DataSet, Split
from hwnas.device import Fingerprint, HardwareProfile, Provider, Runtime
from hwnas.experiment.parts import Parts
from hwnas.export import convert, emit, needs_reduced_range, runtime
from hwnas.graph import Graph
from hwnas.network import Network, State
from hwnas.training import Evaluation, evaluate, evaluation_of

CALIBRATION_IMAGES = 256
UNOPTIMISED = HardwareProfile(
    name="unoptimised",
    description="this machine's CPU, every node computed as the file says",
    kind="onnxruntime",
    runtime=Runtime(providers=(Provider(name="CPUExecutionProvider"),), threads=1, optimise=False),
)


class Deployment:
    """Models and their errors in one precision: float32 errors are torch's, all others those of the file itself.

    The file is run by the device where there is one, so that an int8 error is that of the device's own kernels; else here with
    graph optimisations off, which computes int8 in float32, without the saturation that this CPU's kernels might have.
    """

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._precision = parts.profile.precision
        self._predict = parts.device.predict if parts.device is not None else runtime(UNOPTIMISED)
        self._calibration = calibration_images(parts.data) if self._precision == "int8" else None
        self._reduce_range = reduces_range(parts.profile, None if parts.device is None else parts.device.fingerprint())

    @property
    def is_exact(self) -> bool:
        """Whether a file computes what torch computes: float32."""
        return self._precision == "float32"

    def model(self, graph: Graph, state: State) -> bytes:
        """The network as the ONNX file that the device runs."""
        data, profile = self._parts.data, self._parts.profile
        float32 = emit(graph, state, mean=data.mean, std=data.std, opset=profile.opset, ir_version=profile.ir_version)
        return convert(float32, self._precision, calibration=self._calibration, reduce_range=self._reduce_range)

    def evaluate(self, graph: Graph, state: State, split: Split) -> Evaluation:
        """How often the network is wrong as the device runs it."""
        if self.is_exact:
            return evaluate(Network(graph, state), self._parts.data, split)
        logits = torch.from_numpy(self._predict(self.model(graph, state), pixels(split)))
        return evaluation_of(logits, split.labels, len(self._parts.data.classes))


def reduces_range(profile: HardwareProfile, fingerprint: Fingerprint | None) -> bool:
    """Whether int8 files are made with 7-bit weights: for the run's device, or this machine where that is what the profile means.

    A device elsewhere that was never reached (``fingerprint`` None), because nothing is measured there, gets 8 bits.
    """
    if fingerprint is None and profile.kind == "onnxruntime" and profile.connection.type == "local":
        fingerprint = Fingerprint.here()
    return fingerprint is not None and needs_reduced_range(fingerprint)


def errors_computed(parts: Parts) -> str:
    """What computes the errors of this run, for its readers."""
    precision = parts.profile.precision
    if precision == "float32":
        return "by torch, in float32"
    if parts.device is None:
        return f"here by ONNX Runtime, from the {precision} files, graph optimisations off"
    fingerprint = parts.device.fingerprint()
    return f"by the device itself, from the {precision} files: {fingerprint.cpu}, ONNX Runtime {fingerprint.onnxruntime}"


def error_values(found: Evaluation, metric: str) -> dict[str, float]:
    """What an outcome says of a network's errors on the validation split; ``error`` is the run's metric."""
    error, low, high = found.by(metric)
    return {
        "error": error,
        "error_low": low,
        "error_high": high,
        "plain_error": found.error,
        "balanced_error": found.balanced_error,
        "loss": found.loss,
    }


def calibration_images(data: DataSet) -> NDArray[np.float32]:
    """Training images, evenly spread over the split, that activations' ranges are taken from: float32 (n, C, H, W) in [0, 1]."""
    images = len(data.train)
    count = min(images, CALIBRATION_IMAGES)
    return pixels(data.train.rows(torch.arange(count) * images // count))


def pixels(split: Split) -> NDArray[np.float32]:
    """Images float32 (n, C, H, W) in [0, 1], as an exported model takes them."""
    return (split.images.float() / 255).numpy()
