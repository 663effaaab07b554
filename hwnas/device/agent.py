"""The one agent file: it measures ONNX models on the machine it runs on, here in process or sent over SSH to a device.

It needs Python 3.10 or newer, numpy and onnxruntime, and nothing else. `python agent.py` speaks JSON lines: one request
``{"op": .., ..}`` a line on stdin, one answer ``{"ok": ..}`` or ``{"error": kind, "message": ..}`` a line on stdout; bytes
travel as base64. An answer never carries a traceback, and nothing is written to the device's disk.

The latency protocol (our definition, DESIGN.md idea 6)
------------------------------------------------------
1. *Warm-up*: run the model until the medians of two successive windows agree within 2 % (or a tenth of the time limit is over).
2. *Blocks*: reference, model, reference, model, .., reference. A block is 3 unrecorded runs, which refill the caches that the
   other model emptied, then at least 20 ms (model) or 8 ms (reference) of samples. A sample is one run, or the mean of as
   many runs as fill 50 microseconds, so that the clock's own cost vanishes. A block counts as its median: interrupts drop out.
3. *Drift*: block i of the model is divided by the mean of the reference blocks before and after it, so that whatever slows
   both cancels: clock changes, throttling, a busy neighbour. Corrected = that ratio x the reference's nominal latency,
   a constant of the run. The uncorrected value is reported beside it.
4. *Interval*: the trimmed mean of the ratios (20 % from each end) with Yuen's t interval, widened by the lag-1
   autocorrelation of the ratios (n becomes n (1 - r) / (1 + r)), because neighbouring blocks see the same disturbance.
5. *Stop* when the half-width is within the target (after at least 3 blocks, 5 for targets of 3 % and less) or when the
   time is up; then the wider interval is reported as it is. Two blocks are always measured.
"""

from __future__ import annotations

import base64
import json
import os
import platform
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TextIO

import numpy as np
import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

UNRECORDED_RUNS = 3
MODEL_BLOCK_NS = 20_000_000
REFERENCE_BLOCK_NS = 8_000_000
SAMPLE_NS = 50_000
WARM_WINDOW = 8
WARM_AGREEMENT = 0.02
TRIM = 0.2
QUIET_SPREAD = 0.03
QUIET_OTHER_CORES = 0.3
INT8_DOT_FEATURES = ("avx512_vnni", "avx_vnni", "asimddp", "i8mm")
# two-sided 95 % quantiles of Student's t for 1 to 30 degrees of freedom
T_95 = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131)
T_95 += (2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042)

ORT_ERRORS: tuple[type[Exception], ...] = tuple(
    error for error in vars(ort_errors).values() if isinstance(error, type) and issubclass(error, Exception)
) + (RuntimeError, ValueError, TypeError, MemoryError)


class AgentError(Exception):
    """What the agent could not do; `kind` is "model" (the file), "device" (this machine) or "request" (the caller)."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


# ---------------------------------------------------------------------------------------------------- protocol, pure


def t_quantile(degrees: float) -> float:
    """The two-sided 95 % quantile of Student's t; beyond the table 1.96 + 2.4 / df, right to 0.001."""
    return T_95[max(1, int(degrees)) - 1] if degrees < 31 else 1.96 + 2.4 / degrees


def block_ratios(model_ms: np.ndarray, reference_ms: np.ndarray) -> np.ndarray:
    """Each of n model blocks over the mean of the reference blocks before and after it; (n,) and (n + 1,) give (n,)."""
    if len(reference_ms) != len(model_ms) + 1:
        raise AgentError("request", f"{len(model_ms)} model blocks need {len(model_ms) + 1} reference blocks around them")
    return model_ms / ((reference_ms[:-1] + reference_ms[1:]) / 2)


def interval(values: np.ndarray) -> tuple[float, float]:
    """Trimmed mean of autocorrelated values (n,) with n >= 2, and the half-width of its 95 % interval (protocol step 4)."""
    n = len(values)
    ordered = np.sort(values)
    cut = int(TRIM * n)
    kept = ordered[cut : n - cut]
    winsorized = np.clip(values, ordered[cut], ordered[n - cut - 1])
    centred = winsorized - winsorized.mean()
    power = float(centred @ centred)
    lag1 = float(centred[1:] @ centred[:-1]) / power if power > 0 and n >= 5 else 0.0
    inflation = (1 + min(max(lag1, 0.0), 0.9)) / (1 - min(max(lag1, 0.0), 0.9))
    sd = (power / (n - 1)) ** 0.5
    half = t_quantile(len(kept) - 1) * sd / (len(kept) / n * n**0.5) * inflation**0.5
    return float(kept.mean()), half


def is_warm(samples_ms: Sequence[float]) -> bool:
    """Whether the last window of samples is no longer faster than the one before it, by more than WARM_AGREEMENT."""
    if len(samples_ms) < 2 * WARM_WINDOW:
        return False
    last, before = np.median(samples_ms[-WARM_WINDOW:]), np.median(samples_ms[-2 * WARM_WINDOW : -WARM_WINDOW])
    return bool(last >= before * (1 - WARM_AGREEMENT))


def spread(blocks_ms: np.ndarray) -> float:
    """Relative standard deviation of block medians (n,); 0 for a single block."""
    return float(np.std(blocks_ms, ddof=1) / np.mean(blocks_ms)) if len(blocks_ms) > 1 else 0.0


def is_enough(ratios: np.ndarray, half_width: float, elapsed_s: float, time_limit_s: float) -> bool:
    """The stop rule (protocol step 5); half_width is relative to the value."""
    if len(ratios) < 2:
        return False
    if elapsed_s >= time_limit_s:
        return True
    centre, half = interval(ratios)
    return len(ratios) >= (5 if half_width <= 0.03 else 3) and half <= half_width * centre


# ------------------------------------------------------------------------------------------------------------ timing


@dataclass
class Blocks:
    """What alternating model and reference gave: samples per model block, and the reference's block medians, in ms."""

    samples_ms: list[np.ndarray]
    reference_ms: list[float]
    runs_per_sample: int
    elapsed_s: float


def warm_up(run: Callable[[], object], clock: Callable[[], int], limit_s: float) -> float:
    """Run until stable (protocol step 1); the last window's median run, in ms."""
    started, samples_ms = clock(), list[float]()
    while not is_warm(samples_ms):
        before = clock()
        run()
        after = clock()
        samples_ms.append((after - before) / 1e6)
        if (after - started) / 1e9 > limit_s:
            break
    return float(np.median(samples_ms[-WARM_WINDOW:]))


def block(run: Callable[[], object], clock: Callable[[], int], block_ns: int, runs_per_sample: int) -> np.ndarray:
    """One block of samples in ms (protocol step 2); a model slower than a block is run once unrecorded, once recorded."""
    started = clock()
    for _ in range(UNRECORDED_RUNS):
        run()
        if clock() - started >= block_ns:
            break
    samples_ns = []
    before = started = clock()
    while before - started < block_ns:
        for _ in range(runs_per_sample):
            run()
        after = clock()
        samples_ns.append(after - before)
        before = clock()
    return np.asarray(samples_ns) / (1e6 * runs_per_sample)


def runs_per_sample(run_ms: float) -> int:
    """How many runs fill SAMPLE_NS."""
    return max(1, round(SAMPLE_NS / max(run_ms * 1e6, 1.0)))


def alternate(
    model: Callable[[], object],
    reference: Callable[[], object],
    clock: Callable[[], int],
    half_width: float,
    time_limit_s: float,
) -> Blocks:
    """Alternate blocks until the stop rule holds (protocol steps 1, 2 and 5); `clock` counts nanoseconds."""
    started = clock()
    group = runs_per_sample(warm_up(model, clock, time_limit_s / 10))
    blocks = Blocks([], [float(np.median(block(reference, clock, REFERENCE_BLOCK_NS, 1)))], group, 0.0)
    medians: list[float] = []
    while not medians or not is_enough(
        block_ratios(np.asarray(medians), np.asarray(blocks.reference_ms)), half_width, blocks.elapsed_s, time_limit_s
    ):
        blocks.samples_ms.append(block(model, clock, MODEL_BLOCK_NS, group))
        medians.append(float(np.median(blocks.samples_ms[-1])))
        blocks.reference_ms.append(float(np.median(block(reference, clock, REFERENCE_BLOCK_NS, 1))))
        blocks.elapsed_s = (clock() - started) / 1e9
    return blocks


def summary(blocks: Blocks, nominal_ms: float) -> dict[str, Any]:
    """The measurement's numbers from its blocks (protocol steps 3 and 4); percentiles are drift-corrected as a whole."""
    medians = np.asarray([np.median(samples) for samples in blocks.samples_ms])
    reference_ms = np.asarray(blocks.reference_ms)
    centre, half = interval(block_ratios(medians, reference_ms))
    samples = np.concatenate(blocks.samples_ms)
    raw_ms = float(np.median(medians))
    p50, p90, p99 = (float(value) for value in np.percentile(samples, (50, 90, 99)) * (centre * nominal_ms / raw_ms))
    return {
        "latency_ms": centre * nominal_ms,
        "ci_ms": half * nominal_ms,
        "raw_ms": raw_ms,
        "p50_ms": p50,
        "p90_ms": p90,
        "p99_ms": p99,
        "samples": len(samples),
        "runs_per_sample": blocks.runs_per_sample,
        "blocks": len(medians),
        "reference_ms": float(np.median(reference_ms)),
        "reference_nominal_ms": nominal_ms,
        "reference_spread": spread(reference_ms),
        "elapsed_s": blocks.elapsed_s,
    }


# ------------------------------------------------------------------------------------------------------ ONNX Runtime


def open_session(model: bytes, runtime: Mapping[str, Any]) -> onnxruntime.InferenceSession:
    """A session with the profile's providers, threads and options; falling back to another provider is an error."""
    wanted = [(provider["name"], provider["options"]) for provider in runtime["providers"]]
    available = onnxruntime.get_available_providers()
    missing = [name for name, _ in wanted if name not in available]
    if missing:
        raise AgentError(
            "device",
            f"onnxruntime {onnxruntime.__version__} has no {', '.join(missing)} here; it has {', '.join(available)}. "
            "Name one of these in the profile, or install the onnxruntime package that has the provider",
        )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = runtime["threads"]
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = 4
    options.add_session_config_entry("session.intra_op.allow_spinning", "1" if runtime["spinning"] else "0")
    # without this the idle pool of one session steals cores from the run of the next
    options.add_session_config_entry("session.force_spinning_stop", "1")
    if not runtime["cpu_fallback"]:
        options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    if not runtime["optimise"]:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        session = onnxruntime.InferenceSession(model, options, providers=wanted)
    except ORT_ERRORS as error:
        raise AgentError("model", f"onnxruntime {onnxruntime.__version__} cannot load this model: {error}") from error
    lost = [name for name, _ in wanted if name not in session.get_providers()]
    if lost:
        raise AgentError(
            "device",
            f"{', '.join(lost)} is installed but did not start; onnxruntime would have run on "
            f"{', '.join(session.get_providers())} instead. Check the provider's driver and libraries",
        )
    return session


def random_feeds(inputs: Sequence[Mapping[str, Any]]) -> dict[str, np.ndarray]:
    """Seeded inputs of the given names, shapes and types: floats uniform in [0, 1), whole numbers 0 or 1 (valid as indices too)."""
    rng, feeds = np.random.default_rng(0), {}
    for put in inputs:
        is_float = put["dtype"].startswith("float")
        values = rng.random(put["shape"]) if is_float else rng.integers(0, 2, put["shape"])
        feeds[put["name"]] = values.astype(put["dtype"])
    return feeds


def runner(session: onnxruntime.InferenceSession, feeds: Mapping[str, np.ndarray]) -> Callable[[], object]:
    """One run of the model as a call without arguments, through an io-binding (2 of 5 microseconds less than `run`)."""
    binding = session.io_binding()
    try:
        for name, value in feeds.items():
            binding.bind_cpu_input(name, value)
        for output in session.get_outputs():
            binding.bind_output(output.name)
        session.run_with_iobinding(binding)
    except ORT_ERRORS as error:
        raise AgentError("model", f"onnxruntime {onnxruntime.__version__} cannot run this model: {error}") from error
    return lambda: session.run_with_iobinding(binding)


# ----------------------------------------------------------------------------------------------------------- machine


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def _memory_kb() -> int | None:
    if hasattr(os, "sysconf"):  # not on Windows
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 1024
    return None


def fingerprint() -> dict[str, Any]:
    """What this machine is; None where it cannot be read."""
    fields: dict[str, str] = {}
    for line in _read("/proc/cpuinfo").splitlines():
        key, _, value = line.partition(":")
        fields.setdefault(key.strip(), value.strip())
    flags = set((fields.get("flags") or fields.get("Features") or "").split())
    board = _read("/proc/device-tree/model").strip("\0\n ")
    return {
        "cpu": board or fields.get("model name") or platform.processor() or platform.machine(),
        "architecture": platform.machine(),
        "cores": os.cpu_count() or 1,
        "memory_kb": _memory_kb(),
        "governor": _read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor").strip() or None,
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "onnxruntime": onnxruntime.__version__,
        "providers": onnxruntime.get_available_providers(),
        "int8_dot": [feature for feature in INT8_DOT_FEATURES if feature in flags] if flags else None,
    }


class Load:
    """How many cores other processes keep busy, between its making and `other_cores`."""

    def __init__(self) -> None:
        self._started = self._now()

    @staticmethod
    def _now() -> tuple[float, float, float] | None:
        fields = _read("/proc/stat").split("\n", 1)[0].split()
        if len(fields) < 9:
            return None
        user, nice, system, _, _, irq, softirq, steal = (float(value) for value in fields[1:9])
        return time.perf_counter(), (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK"), time.process_time()

    def other_cores(self) -> float | None:
        """Cores kept busy by others since then (the system counts in steps of 10 ms); the load average where there is no /proc."""
        now = self._now()
        if now is None or self._started is None:
            return max(0.0, os.getloadavg()[0] - 1.0) if hasattr(os, "getloadavg") else None
        wall, busy, own = (after - before for after, before in zip(now, self._started, strict=True))
        return max(0.0, busy - own) / max(wall, 1e-3)


def _status_kb(field: str) -> int:
    return next(int(line.split()[1]) for line in _read("/proc/self/status").splitlines() if line.startswith(field))


def reset_peak_memory() -> int | None:
    """Forget the peak of resident memory; the memory resident now, in kB, or None where the system does not count it."""
    try:
        with open("/proc/self/clear_refs", "w", encoding="ascii") as file:
            file.write("5")
        return _status_kb("VmRSS")
    except OSError:
        return None


# ------------------------------------------------------------------------------------------------------------- agent


def encode(value: object) -> dict[str, Any]:
    """Bytes and arrays as JSON objects, for `json.dumps(default=encode)`."""
    if isinstance(value, bytes):
        return {"base64": base64.b64encode(value).decode("ascii")}
    if isinstance(value, np.ndarray):
        return {"array": value.dtype.str, "shape": value.shape, "data": base64.b64encode(value.tobytes()).decode("ascii")}
    raise TypeError(f"expected bytes or an array, got {type(value).__name__}")


def decode(fields: dict[str, Any]) -> object:
    """The inverse of `encode`, for `json.loads(object_hook=decode)`."""
    if "base64" in fields:
        return base64.b64decode(fields["base64"])
    if "array" in fields:
        data = base64.b64decode(fields["data"])
        return np.frombuffer(data, dtype=fields["array"]).reshape(fields["shape"])
    return fields


class Agent:
    """One device's measuring state: how models run (`configure`), the reference model's session and its nominal latency."""

    def __init__(self, clock: Callable[[], int] = time.perf_counter_ns) -> None:
        self._clock = clock
        self._runtime: Mapping[str, Any] = {}
        self._reference: Callable[[], object] = lambda: None
        self._nominal_ms = 0.0
        self._predictor: tuple[bytes, onnxruntime.InferenceSession] | None = None

    def call(self, op: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Answer one request; `op` is the name of one of the methods below."""
        ops = {"configure": self.configure, "measure": self.measure, "predict": self.predict, "noise": self.noise}
        if op not in ops:
            raise AgentError("request", f"expected one of {', '.join(ops)}, got {op!r}")
        return ops[op](**arguments)

    def configure(
        self,
        runtime: Mapping[str, Any],
        reference: bytes,
        reference_inputs: Sequence[Mapping[str, Any]],
        nominal_ms: float | None,
    ) -> dict[str, Any]:
        """Open the reference model; without a nominal latency its present one becomes the nominal. Answers the fingerprint."""
        self._runtime = runtime
        self._reference = runner(open_session(reference, runtime), random_feeds(reference_inputs))
        self._nominal_ms = nominal_ms or float(np.median(self._reference_blocks(12)))
        return {"fingerprint": fingerprint(), "reference_nominal_ms": self._nominal_ms}

    def _reference_blocks(self, count: int) -> np.ndarray:
        warm_up(self._reference, self._clock, 1.0)
        return np.asarray([np.median(block(self._reference, self._clock, REFERENCE_BLOCK_NS, 1)) for _ in range(count)])

    def measure(
        self, model: bytes, inputs: Sequence[Mapping[str, Any]], half_width: float, time_limit_s: float
    ) -> dict[str, Any]:
        """Measure a model by the protocol; memory is what the process's peak grew by, None where it cannot be read."""
        load, resident_kb, started = Load(), reset_peak_memory(), self._clock()
        session = open_session(model, self._runtime)
        load_ms = (self._clock() - started) / 1e6
        run = runner(session, random_feeds(inputs))
        result = summary(alternate(run, self._reference, self._clock, half_width, time_limit_s), self._nominal_ms)
        result["load_ms"] = load_ms
        result["peak_memory_kb"] = None if resident_kb is None else max(0, _status_kb("VmHWM") - resident_kb)
        result["other_cores"] = load.other_cores()
        result["quiet"] = is_quiet(result["reference_spread"], result["other_cores"])
        return result

    def predict(self, model: bytes, feeds: Mapping[str, np.ndarray]) -> dict[str, Any]:
        """The model's first output, computed on this machine; the session of the last model is kept."""
        if self._predictor is None or self._predictor[0] != model:
            self._predictor = (model, open_session(model, self._runtime))
        try:
            return {"output": self._predictor[1].run(None, dict(feeds))[0]}
        except ORT_ERRORS as error:
            raise AgentError("model", f"onnxruntime {onnxruntime.__version__} cannot run this model: {error}") from error

    def noise(self, duration_s: float) -> dict[str, Any]:
        """How much the reference model varies right now."""
        load = Load()
        blocks_ms = self._reference_blocks(max(5, round(duration_s * 1e9 / REFERENCE_BLOCK_NS)))
        other, varies = load.other_cores(), spread(blocks_ms)
        reference_ms = float(np.median(blocks_ms))
        return {"reference_ms": reference_ms, "spread": varies, "other_cores": other, "quiet": is_quiet(varies, other)}


def is_quiet(reference_spread: float, other_cores: float | None) -> bool:
    """Whether nothing else disturbed: the reference's blocks agree and other processes keep less than 0.3 cores busy."""
    return reference_spread <= QUIET_SPREAD and (other_cores is None or other_cores <= QUIET_OTHER_CORES)


def serve(requests: TextIO, answers: TextIO) -> None:
    """Answer one JSON line with one JSON line until the input ends."""
    agent = Agent()
    for line in requests:
        try:
            request = json.loads(line, object_hook=decode)
            answer = {"ok": agent.call(request.pop("op"), request)}
        except AgentError as error:
            answer = {"error": error.kind, "message": str(error)}
        except ORT_ERRORS as error:
            answer = {"error": "device", "message": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps(answer, default=encode) + "\n")
        answers.flush()


def main() -> None:
    """Serve on stdin and stdout; whatever else a library prints goes to stderr, not into the answers."""
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as answers:
        os.dup2(2, 1)
        serve(sys.stdin, answers)


if __name__ == "__main__":
    main()
