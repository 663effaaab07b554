"""The one agent file: it measures ONNX models on the machine it runs on, here in process or sent over SSH to a device.

It needs Python 3.10 or newer, numpy and onnxruntime, and nothing else. `python agent.py` speaks JSON lines: one request
``{"op": .., ..}`` a line on stdin, one answer ``{"ok": ..}`` or ``{"error": kind, "message": ..}`` a line on stdout; bytes
travel as base64. Nothing is written to the device's disk.

The latency protocol (our definition, DESIGN.md idea 6)
1. *Warm-up*: run the model until the medians of two successive windows agree within 2 % (or a tenth of the time limit is over).
2. *Blocks*: reference, model, reference, model, .., reference. A block is 3 unrecorded runs, which refill the caches that the
   other model emptied, then at least 20 ms (model) or 8 ms (reference) of samples. A sample is one run, or the mean of as
   many runs as fill 50 microseconds, so that the clock's own cost vanishes. Time in which the thread waited for a core that
   another process held is taken off (Linux counts it; a 9 ms model among three busy processes takes 68 ms, of which 9.2 are
   its own). A block counts as the median of its samples, so that interrupts drop out.
3. *Drift*: block i of the model is divided by the mean of the reference blocks before and after it, so that whatever slows
   both cancels: clock changes, throttling, a busy neighbour. Corrected = that ratio x the reference's nominal latency,
   a constant of the run. The plain median of what the clock said is reported beside it.
4. *Interval*: the trimmed mean of the ratios (20 % from each end) with Yuen's t interval, widened by their lag-1 autocorrelation
   (n becomes n (1 - r) / (1 + r)), because neighbouring blocks see the same disturbance, and by 1.2 for the stop rule.
5. *Stop* when the half-width is within the target (after at least 3 blocks, 5 for targets of 3 % and less) or when the
   time is up; then the wider interval is reported as it is. Two blocks are always measured.
"""

from __future__ import annotations

import base64
import ctypes
import json
import math
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, TextIO

import numpy as np

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # before its first import: else it writes to the disk and looks up a server
import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

ORT = f"onnxruntime {onnxruntime.__version__}"
UNRECORDED_RUNS = 3
MODEL_BLOCK_NS = 20_000_000
REFERENCE_BLOCK_NS = 8_000_000
SAMPLE_NS = 50_000
WARM_WINDOW = 8
WARM_AGREEMENT = 0.02
TRIM = 0.2
# the stop rule picks lucky moments: unwidened, 95 % intervals cover 88 to 95 % in simulation, so widened 91 to 96 %
STOPPING_WIDENING = 1.2
# two-sided 95 % quantiles of Student's t for 1 to 30 degrees of freedom
T_95 = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
    2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
)  # fmt: skip

ORT_ERRORS: tuple[type[Exception], ...] = (RuntimeError, ValueError, MemoryError)
ORT_ERRORS += tuple(error for error in vars(ort_errors).values() if isinstance(error, type) and issubclass(error, Exception))


class AgentError(Exception):
    """What the agent could not do; `kind` is "model" (the file), "device" (this machine) or "request" (the caller)."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


def t_quantile(degrees: float) -> float:
    """The two-sided 95 % quantile of Student's t; beyond the table 1.96 + 2.46 / df, right to 0.001."""
    return T_95[max(1, int(degrees)) - 1] if degrees < 31 else 1.96 + 2.46 / degrees


def block_ratios(model_ms: np.ndarray, reference_ms: np.ndarray) -> np.ndarray:
    """Each of n model blocks over the mean of the reference blocks before and after it; (n,) and (n + 1,) give (n,)."""
    if len(reference_ms) != len(model_ms) + 1:
        raise AgentError("request", f"{len(model_ms)} model blocks need one more reference block, got {len(reference_ms)}")
    return np.asarray(2 * model_ms / (reference_ms[:-1] + reference_ms[1:]))


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
    lag1 = min(max(lag1, 0.0), 0.9)
    error = (power / (n - 1) / n) ** 0.5 * n / len(kept) * ((1 + lag1) / (1 - lag1)) ** 0.5
    return float(kept.mean()), STOPPING_WIDENING * t_quantile(len(kept) - 1) * error


def is_warm(samples_ms: Sequence[float]) -> bool:
    """Whether the last window of samples is no longer faster than the one before it, by more than WARM_AGREEMENT."""
    if len(samples_ms) < 2 * WARM_WINDOW:
        return False
    before, last = np.median(np.reshape(samples_ms[-2 * WARM_WINDOW :], (2, WARM_WINDOW)), axis=1)
    return bool(last >= before * (1 - WARM_AGREEMENT))


def is_enough(ratios: np.ndarray, half_width: float, elapsed_s: float, time_limit_s: float) -> bool:
    """The stop rule (protocol step 5); half_width is relative to the value."""
    if len(ratios) < 2:
        return False
    if elapsed_s >= time_limit_s:
        return True
    centre, half = interval(ratios)
    return len(ratios) >= (5 if half_width <= 0.03 else 3) and half <= half_width * centre


@dataclass
class Timer:
    """Nanoseconds on the clock, and nanoseconds for which this thread has waited for a core that others held."""

    clock: Callable[[], int]
    waited: Callable[[], int]


@dataclass
class Blocks:
    """What alternating gave, in ms: per model block (2, n) as from `block`, and the reference's block medians."""

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
        samples_ms.append((clock() - before) / 1e6)
        if (clock() - started) / 1e9 > limit_s:
            break
    return max(1e-6, float(np.median(samples_ms[-WARM_WINDOW:])))


def block(run: Callable[[], object], timer: Timer, block_ns: int, runs_per_sample: int = 1) -> np.ndarray:
    """One block (protocol step 2): (2, n) in ms, the samples without and with waiting for a core; long runs warm up once."""
    started = timer.clock()
    for _ in range(UNRECORDED_RUNS):
        run()
        if timer.clock() - started >= block_ns:
            break
    samples_ns, recorded_ns = [], 0
    while recorded_ns < block_ns:
        waited, before = timer.waited(), timer.clock()
        for _ in range(runs_per_sample):
            run()
        wall_ns = timer.clock() - before
        own_ns = max(1, wall_ns - (timer.waited() - waited))
        samples_ns.append((own_ns, wall_ns))
        recorded_ns += own_ns
    return np.asarray(samples_ns).T / (1e6 * runs_per_sample)


def reference_block(reference: Callable[[], object], timer: Timer) -> float:
    """The median of one block of the reference model, in ms."""
    return float(np.median(block(reference, timer, REFERENCE_BLOCK_NS)[0]))


def alternate(
    model: Callable[[], object], reference: Callable[[], object], timer: Timer, half_width: float, time_limit_s: float
) -> Blocks:
    """Alternate blocks until the stop rule holds (protocol steps 1, 2 and 5)."""
    started = timer.clock()
    group = max(1, round(SAMPLE_NS / 1e6 / warm_up(model, timer.clock, time_limit_s / 10)))
    blocks, medians = Blocks([], [reference_block(reference, timer)], group, 0.0), list[float]()
    while not medians or not is_enough(
        block_ratios(np.asarray(medians), np.asarray(blocks.reference_ms)), half_width, blocks.elapsed_s, time_limit_s
    ):
        blocks.samples_ms.append(block(model, timer, MODEL_BLOCK_NS, group))
        medians.append(float(np.median(blocks.samples_ms[-1][0])))
        blocks.reference_ms.append(reference_block(reference, timer))
        blocks.elapsed_s = (timer.clock() - started) / 1e9
    return blocks


def open_session(model: bytes, runtime: Mapping[str, Any]) -> onnxruntime.InferenceSession:
    """A session with the profile's providers, threads and options; falling back to another provider is an error."""
    wanted = [(provider["name"], provider["options"]) for provider in runtime["providers"]]
    available = onnxruntime.get_available_providers()
    missing = [name for name, _ in wanted if name not in available]
    if missing:
        there = f"{ORT} has no {', '.join(missing)} here, it has {', '.join(available)}"
        raise AgentError("device", f"{there}; name one of these in the profile, or install one that has the provider")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = runtime["threads"]
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = 4
    options.add_session_config_entry("session.intra_op.allow_spinning", "1" if runtime["spinning"] else "0")
    # else the spinning pool of one session takes cores from the next: with 2 threads the blocks' spread is 33 %, not 1 %
    options.add_session_config_entry("session.force_spinning_stop", "1")
    if not runtime["cpu_fallback"]:
        options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    if not runtime["optimise"]:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        session = onnxruntime.InferenceSession(model, options, providers=wanted)
    except ORT_ERRORS as error:
        raise AgentError("model", f"{ORT} cannot load this model: {error}") from error
    lost = [name for name, _ in wanted if name not in session.get_providers()]
    if lost:
        raise AgentError("device", f"{', '.join(lost)} is installed but did not start; check its driver and libraries")
    return session


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
        raise AgentError("model", f"{ORT} cannot run this model: {error}") from error
    return lambda: session.run_with_iobinding(binding)


def _read(path: str) -> str:
    with suppress(OSError), open(path, encoding="utf-8", errors="replace") as file:
        return file.read()
    return ""


@contextmanager
def thread_timer() -> Iterator[Timer]:
    """The timer of this thread; where the system does not count waiting, none is taken off."""
    try:
        file = os.open("/proc/thread-self/schedstat", os.O_RDONLY)
    except OSError:
        yield Timer(time.perf_counter_ns, lambda: 0)
        return
    try:
        yield Timer(time.perf_counter_ns, lambda: int(os.pread(file, 64, 0).split()[1]))
    finally:
        os.close(file)


def facts() -> dict[str, Any]:
    """What this machine says about itself; the other side reads the fingerprint out of it."""
    sizes = ("SC_PHYS_PAGES", "SC_PAGE_SIZE") if hasattr(os, "sysconf") else ()  # not on Windows
    return {
        "cpuinfo": _read("/proc/cpuinfo").split("\n\n", 1)[0],
        "board": _read("/proc/device-tree/model"),
        "governor": _read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        "processor": platform.processor(),
        "architecture": platform.machine(),
        "cores": os.cpu_count() or 1,
        "memory_kb": math.prod(os.sysconf(size) for size in sizes) // 1024 or None,
        "system": f"{platform.system()} {platform.release()}",
        "boot_id": _read("/proc/sys/kernel/random/boot_id"),
        "python": platform.python_version(),
        "onnxruntime": onnxruntime.__version__,
        "providers": onnxruntime.get_available_providers(),
    }


def cpu_times() -> tuple[float, float, float] | None:
    """Seconds: now, and the CPU time so far of the whole machine and of this process; None where there is no /proc/stat."""
    fields = _read("/proc/stat").split("\n", 1)[0].split()
    if len(fields) < 9:
        return None
    user, nice, system, _, _, irq, softirq, steal = (float(value) for value in fields[1:9])
    busy_s = (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")
    return time.perf_counter(), busy_s, time.process_time()


def _status_kb(field: str) -> int:
    return int(_read("/proc/self/status").partition(field + ":")[2].split(maxsplit=1)[0])


def reset_peak_memory() -> int | None:
    """Forget the peak of resident memory; the memory resident now, in kB, or None where the system does not count it."""
    try:
        with open("/proc/self/clear_refs", "w", encoding="ascii") as file:
            getattr(ctypes.CDLL(None), "malloc_trim", int)(0)  # what glibc keeps of the last model's would hide this one's
            file.write("5")
        return _status_kb("VmRSS")
    except OSError:
        return None


def encode(value: object) -> dict[str, Any]:
    """Bytes and arrays as JSON objects, for `json.dumps(default=encode)`."""
    if isinstance(value, np.ndarray):
        return {"array": value.dtype.str, "shape": value.shape, "data": value.tobytes()}
    if isinstance(value, bytes):
        return {"base64": base64.b64encode(value).decode("ascii")}
    raise TypeError(f"expected bytes or an array, got {type(value).__name__}")


def decode(fields: dict[str, Any]) -> object:
    """The inverse of `encode`, for `json.loads(object_hook=decode)`."""
    if "base64" in fields:
        return base64.b64decode(fields["base64"])
    if "array" in fields:
        return np.frombuffer(fields["data"], dtype=fields["array"]).reshape(fields["shape"])
    return fields


class Agent:
    """One device's measuring state: how models run, and the reference model's session."""

    def __init__(self) -> None:
        self._runtime: Mapping[str, Any] = {}
        self._reference: Callable[[], object] = lambda: None
        self._predictor: tuple[bytes, onnxruntime.InferenceSession] | None = None

    def call(self, op: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Answer one request; `op` is the name of one of the methods below."""
        ops: dict[str, Callable[..., dict[str, Any]]]
        ops = {"configure": self.configure, "measure": self.measure, "predict": self.predict, "noise": self.noise}
        return ops[op](**arguments)

    def configure(self, runtime: Mapping[str, Any], model: bytes, feeds: Mapping[str, np.ndarray]) -> dict[str, Any]:
        """Open the reference model; answers what the machine says about itself and block medians of the reference."""
        self._runtime = runtime
        self._reference = runner(open_session(model, runtime), feeds)
        return {"facts": facts(), "reference_ms": self._reference_blocks(12)}

    def _reference_blocks(self, count: int) -> np.ndarray:
        warm_up(self._reference, time.perf_counter_ns, 1.0)
        with thread_timer() as timer:
            return np.asarray([reference_block(self._reference, timer) for _ in range(count)])

    def measure(self, model: bytes, feeds: Mapping[str, np.ndarray], half_width: float, time_limit_s: float) -> dict[str, Any]:
        """Blocks of a model by the protocol; memory is what the process's peak grew by, None where it cannot be read."""
        times, resident_kb, started = cpu_times(), reset_peak_memory(), time.perf_counter()
        session = open_session(model, self._runtime)
        load_ms = (time.perf_counter() - started) * 1e3
        with thread_timer() as timer:
            blocks = alternate(runner(session, feeds), self._reference, timer, half_width, time_limit_s)
        own_ms, wall_ms = np.concatenate(blocks.samples_ms, axis=1)
        return {
            "blocks_ms": np.asarray([np.median(samples[0]) for samples in blocks.samples_ms]),
            "reference_ms": np.asarray(blocks.reference_ms),
            "percentiles_ms": np.percentile(own_ms, (50, 90, 99)),
            "raw_ms": float(np.median(wall_ms)),
            "waiting": float(1 - own_ms.sum() / wall_ms.sum()),
            "samples": len(own_ms),
            "runs_per_sample": blocks.runs_per_sample,
            "elapsed_s": blocks.elapsed_s,
            "load_ms": load_ms,
            "peak_memory_kb": None if resident_kb is None else max(0, _status_kb("VmHWM") - resident_kb),
            "cpu_times": [times, cpu_times()],
        }

    def predict(self, model: bytes, feeds: Mapping[str, np.ndarray]) -> dict[str, Any]:
        """The model's first output, computed on this machine; the session of the last model is kept."""
        if self._predictor is None or self._predictor[0] != model:
            self._predictor = (model, open_session(model, self._runtime))
        try:
            return {"output": self._predictor[1].run(None, dict(feeds))[0]}
        except ORT_ERRORS as error:
            raise AgentError("model", f"{ORT} cannot run this model: {error}") from error

    def noise(self, duration_s: float) -> dict[str, Any]:
        """Block medians of the reference model over about that long."""
        times = cpu_times()
        blocks_ms = self._reference_blocks(max(5, round(duration_s * 1e9 / REFERENCE_BLOCK_NS)))
        return {"reference_ms": blocks_ms, "cpu_times": [times, cpu_times()]}


def serve(requests: TextIO, answers: TextIO) -> None:
    """Answer one JSON line with one JSON line until the input ends."""
    agent = Agent()
    for line in requests:
        request = json.loads(line, object_hook=decode)
        try:
            answer: dict[str, Any] = {"ok": agent.call(request.pop("op"), request)}
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
