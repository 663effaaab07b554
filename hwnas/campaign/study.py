"""Campaigns on several networks, side by side, each with its file."""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, CancelledError, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event, Lock

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto
from torch import Tensor

from hwnas.campaign.campaign import Campaign, Watch
from hwnas.campaign.images import Examples
from hwnas.campaign.results import FaultReport, NetworkResult, curve_result, report, single_result
from hwnas.campaign.settings import FaultName, FaultSettings
from hwnas.deployed import fold
from hwnas.deployed.program import Program
from hwnas.device import read_model
from hwnas.device.model import parse
from hwnas.device.trial import try_apart
from hwnas.errors import ConfigError, ModelError, UnsupportedOperatorError
from hwnas.graph import Graph
from hwnas.injection.from_onnx import from_onnx
from hwnas.injection.onnx_target import OnnxTarget
from hwnas.injection.qdq import QdqTarget
from hwnas.injection.target import FaultTarget, TorchTarget
from hwnas.onnxfiles.constants import constants_of
from hwnas.resilience import format_named

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A network to be faulted: a name for tables and file names, and how to make it ready."""

    name: str
    bench: Callable[[], FaultTarget]


def trained(
    name: str,
    graph: Graph,
    state: Mapping[str, Tensor],
    dtype: str,
    *,
    mean: tuple[float, ...] | None = None,
    std: tuple[float, ...] | None = None,
    calibration: NDArray[np.float32] | None = None,
) -> Subject:
    """One of our own networks in a format that torch computes, as its exported file would hold it; log8 needs ``calibration``."""
    return Subject(
        name=name,
        bench=lambda: TorchTarget(
            Program(graph, fold(graph, state, mean=mean, std=std), format_named(dtype), calibration=calibration)
        ),
    )


def onnx_subject(path: Path, dtype: str, *, calibration: NDArray[np.float32] | None = None) -> Subject:
    """A user's own ONNX classifier, read and checked now; log8 needs training images to calibrate.

    Raises ModelError, ConfigError for a format that it is not in, DataError for images that do not fit.
    """
    content = read_model(path)
    try_apart({str(path): content})
    graph = parse(content).graph
    is_int8 = any(node.op_type == "DequantizeLinear" for node in graph.node)
    matrices = [tensor for tensor in constants_of(graph).values() if len(tensor.dims) > 1]  # weights
    is_half = any(tensor.data_type == TensorProto.FLOAT16 for tensor in matrices)
    if is_int8 != (dtype == "int8") or (is_half and dtype not in ("int8", "float16")):
        what = "int8 (QDQ)" if is_int8 else "float16" if is_half else "floating point"
        raise ConfigError(f"{path} is {what}, --dtype is {dtype}; choose the format that the file is in")
    if is_int8:
        bench: FaultTarget = QdqTarget(content)
    else:
        bench = _float_bench(path.name, content, dtype, calibration)
    return Subject(name=path.name, bench=lambda: bench)


def _float_bench(name: str, content: bytes, dtype: str, calibration: NDArray[np.float32] | None) -> FaultTarget:
    """The fast engine where the file's operators can be translated, ONNX Runtime itself where not, which keeps float32 alone."""
    try:
        graph, deployed = from_onnx(content)
    except UnsupportedOperatorError as refused:
        if dtype != "float32":
            raise ModelError(f"{refused}. With --dtype float32 ONNX Runtime computes any operator that it has") from refused
        try:
            bench = OnnxTarget(content)
        except ModelError as error:
            raise ModelError(f"{refused}. As it stands, too: {error}") from error
        _log.warning("%s: the slower engine, ONNX Runtime itself, is at work: %s", name, str(refused).split(";")[0])
        return bench
    return TorchTarget(Program(graph, deployed, format_named(dtype), calibration=calibration))


def study(
    subjects: Iterable[Subject],
    examples: Examples,
    settings: FaultSettings,
    faults: Sequence[FaultName],
    *,
    folder: Path | None,
    watch: Watch,
    threads: int = 1,
) -> FaultReport:
    """Every fault model of ``faults`` on every network; campaign files lie in ``folder`` and are gone on with.

    ``threads`` networks at a time: each has its own campaign, so their number changes no figure. A network that knows no more
    than chance has no accuracy-BER curve. An exception, Ctrl-C too, stops all campaigns after their current fault.

    Raises RequestError where images or campaign files do not fit a network, or two networks share a name.
    """
    subjects = tuple(subjects)
    names = [subject.name for subject in subjects]
    if len(set(names)) < len(names):
        raise ConfigError(f"campaign files are named after networks, so names must differ, got {', '.join(names)}; rename a file")
    stop, making = Event(), Lock()  # the quantiser is not made for threads

    def check() -> None:
        if stop.is_set():
            raise CancelledError

    def network(subject: Subject) -> NetworkResult:
        with making:
            check()
            bench = subject.bench()
        return _network(subject.name, bench, examples, settings, faults, folder, watch, check)

    with ThreadPoolExecutor(threads) as pool:
        try:
            waiting = [pool.submit(network, subject) for subject in subjects]
            done = wait(waiting, return_when=FIRST_EXCEPTION).done
            for future in done:
                future.result()  # raises what stopped it
        finally:  # Ctrl-C too stops the campaigns that still run
            stop.set()
            pool.shutdown(cancel_futures=True)
    return report([future.result() for future in waiting])


def _network(
    model: str,
    bench: FaultTarget,
    examples: Examples,
    settings: FaultSettings,
    faults: Sequence[FaultName],
    folder: Path | None,
    watch: Watch,
    check: Callable[[], None],
) -> NetworkResult:
    single = curve = None
    rows: list[Mapping[str, object]] = []
    clean_error: float | None = None
    for fault in faults:
        mine = replace(settings, fault=fault)
        campaign = Campaign(model, bench, examples, mine, check)
        name = f"{model}-{mine.dtype}-{mine.target}-{fault}-seed{mine.seed}.jsonl"
        path = None if folder is None else folder / name
        clean_error = campaign.clean_error() if clean_error is None else clean_error
        if fault == "ber" and not campaign.has_curve():
            pass  # one network of a front that learnt nothing does not stop the others' campaigns
        elif fault == "ber":
            trials = campaign.curve(path, watch)
            curve = curve_result(trials, mine)
            rows += trials.rows
        else:
            tried = campaign.single(path, watch)
            single = single_result(tried, clean_error)
            rows += tried.rows
    return NetworkResult(
        model=model,
        dtype=settings.dtype,
        target=settings.target,
        clean_error=0.0 if clean_error is None else clean_error,
        single=single,
        curve=curve,
        expected=bench.expected_shares(examples.images, weights=settings.target == "weights"),
        rows=tuple(rows),
    )
