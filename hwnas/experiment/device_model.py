"""A network as the run's device runs it: its ONNX file in the profile's precision, and how often that file is wrong."""

import torch

from hwnas.data import Split
from hwnas.device import HardwareProfile, Provider, Runtime
from hwnas.experiment.context import RunContext
from hwnas.export import convert, emit, runtime
from hwnas.graph import Graph
from hwnas.models.deploying import calibration_images, pixels, reduces_range
from hwnas.network import Network, State
from hwnas.training import Evaluation, evaluate, evaluation_of

UNOPTIMISED = HardwareProfile(
    name="unoptimised",
    description="this machine's CPU, every node computed as the file says",
    kind="onnxruntime",
    runtime=Runtime(providers=(Provider(name="CPUExecutionProvider"),), threads=1, optimise=False),
)


class DeviceModel:
    """Models and their errors in one precision: float32 errors are torch's, all others those of the file itself.

    The file is run by the device where there is one, so that an int8 error is that of the device's own kernels; else here with
    graph optimisations off, which computes int8 in float32, without the saturation that this CPU's kernels might have.
    """

    def __init__(self, context: RunContext) -> None:
        self._context = context
        self._precision = context.profile.precision
        self._predict = context.device.predict if context.device is not None else runtime(UNOPTIMISED)
        self._calibration = calibration_images(context.data) if self._precision == "int8" else None
        self._reduce_range = reduces_range(context.profile, None if context.device is None else context.device.fingerprint())

    @property
    def is_exact(self) -> bool:
        """Whether a file computes what torch computes: float32."""
        return self._precision == "float32"

    def model(self, graph: Graph, state: State) -> bytes:
        """The network as the ONNX file that the device runs."""
        data, profile = self._context.data, self._context.profile
        float32 = emit(graph, state, mean=data.mean, std=data.std, opset=profile.opset, ir_version=profile.ir_version)
        return convert(float32, self._precision, calibration=self._calibration, reduce_range=self._reduce_range)

    def evaluate(self, graph: Graph, state: State, split: Split) -> Evaluation:
        """How often the network is wrong as the device runs it."""
        if self.is_exact:
            return evaluate(Network(graph, state), self._context.data, split)
        logits = torch.from_numpy(self._predict(self.model(graph, state), pixels(split)))
        return evaluation_of(logits, split.labels, len(self._context.data.classes))


def errors_computed(context: RunContext) -> str:
    """What computes the errors of this run, for its readers."""
    precision = context.profile.precision
    if precision == "float32":
        return "by torch, in float32"
    if context.device is None:
        return f"here by ONNX Runtime, from the {precision} files, graph optimisations off"
    fingerprint = context.device.fingerprint()
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
