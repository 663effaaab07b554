"""How fast worker processes train, side by side in one run. Part of ``scaling.py``.

A *setup* is a number of workers and an allocator; every round trains the same children with every setup in turn, in an order
that rotates. Beside each phase stands what disturbed it: how long its workers were ready to run and had no core
(/proc/PID/schedstat), what other processes took of the machine, and what the hypervisor took (steal).
"""

import contextlib
import ctypes.util
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import record
import torch
from PIL import Image

from hwnas.candidate import stream_seed
from hwnas.data import Augmentation, DataSettings, load
from hwnas.execution import EvaluationResult, EvaluationTask, Executor, LocalExecutor, pack
from hwnas.execution.worker_malloc import VARIABLE, library
from hwnas.experiment.cheap import topology_values
from hwnas.graph import to_json
from hwnas.morphism.from_scratch import from_scratch
from hwnas.network import transfer
from hwnas.spaces import initial_graphs
from hwnas.training import TrainerSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """``kept``: glibc's malloc keeps freed memory (both thresholds at 1 GiB); ``malloc``: HWNAS_WORKER_PRELOAD, None: not set."""

    workers: int
    kept: bool = True
    malloc: str | None = None


def setups() -> dict[str, Setup]:
    """One worker and two as the product has them; two with glibc's malloc, tuned and as it comes, and with jemalloc."""
    found = {
        "one": Setup(workers=1),
        "two": Setup(workers=2),
        "two_thresholds": Setup(workers=2, malloc=""),
        "two_plain_malloc": Setup(workers=2, kept=False, malloc=""),
    }
    if jemalloc := ctypes.util.find_library("jemalloc"):
        found["two_jemalloc"] = Setup(workers=2, malloc=jemalloc)
    return found


def training_rounds(
    case: str, children: Sequence[EvaluationTask], compared: Mapping[str, Setup], rounds: int
) -> Iterator[dict[str, Any]]:
    """A row for each phase: the same children with each setup in turn."""
    with contextlib.ExitStack() as stack:
        started = {name: stack.enter_context(_started(setup, children)) for name, setup in compared.items()}
        names = list(compared)
        for number in range(rounds):
            turn = number % len(names)
            for name in names[turn:] + names[:turn]:
                yield {"case": case, "setup": name, "round": number, **_phase(*started[name], children)}
            record.progress(f"{case}: round {number + 1} of {rounds}")


@contextlib.contextmanager
def _started(setup: Setup, children: Sequence[EvaluationTask]) -> Iterator[tuple[Executor, set[int]]]:
    """An executor whose workers are there, and warm; and their process ids."""
    others, first = _spawned(), children[: 4 * setup.workers]
    with LocalExecutor(setup.workers, first[0].data, keep_freed_memory=setup.kept) as executor:
        with _named(setup.malloc):
            for child in first:
                executor.submit(child)
            _collect(executor, len(first))
            malloc = library()
        pids = _spawned() - others
        if len(pids) != setup.workers or not all(_has_loaded(pid, malloc) for pid in pids):
            raise SystemExit(f"expected {setup.workers} workers with {malloc or 'plain malloc'}, found processes {sorted(pids)}")
        yield executor, pids


@contextlib.contextmanager
def _named(malloc: str | None) -> Iterator[None]:
    """Executors that start meanwhile are told so."""
    if malloc is None:
        yield
        return
    os.environ[VARIABLE] = malloc
    try:
        yield
    finally:
        del os.environ[VARIABLE]


def _has_loaded(pid: int, malloc: str | None) -> bool:
    maps = Path(f"/proc/{pid}/maps").read_text()
    return Path(malloc).name in maps if malloc else "malloc" not in maps


def _spawned() -> set[int]:
    return {child.pid for child in psutil.Process().children() if any("spawn_main" in word for word in child.cmdline())}


def _phase(executor: Executor, pids: set[int], children: Sequence[EvaluationTask]) -> dict[str, Any]:
    before, started = _used(pids), time.monotonic()
    for child in children:
        executor.submit(child)
    results = _collect(executor, len(children))
    wall_s = time.monotonic() - started
    used = {name: value - before[name] for name, value in _used(pids).items()}
    seconds, whole_s = [result.train_seconds for result in results], (os.cpu_count() or 1) * wall_s
    return {
        "workers": len(pids),
        "images": sum(result.images for result in results),
        "wall_s": wall_s,
        "cpu_s": used["workers_s"],
        "train_seconds": seconds,
        "training_share": sum(seconds) / (len(pids) * wall_s),
        "waited_share": used["waited_s"] / (len(pids) * wall_s),
        "others_share": max(0.0, used["busy_s"] - used["own_s"]) / whole_s,
        "steal_share": used["steal_s"] / whole_s,
        "main_share": used["main_s"] / wall_s,
    }


def _collect(executor: Executor, count: int) -> list[EvaluationResult]:
    results: list[EvaluationResult] = []
    while len(results) < count:
        results += executor.wait()
    failed = [result.failure.message for result in results if result.failure is not None]
    if failed:
        raise SystemExit(f"a child failed: {failed[0]}")
    return results


def _used(pids: set[int]) -> dict[str, float]:
    """Seconds so far: that all of the machine was busy, the hypervisor took, this process and its children ran, this process ran
    alone, the workers ran, and the workers' main threads were ready and had no core (Linux; else 0)."""
    machine, main = psutil.cpu_times(), psutil.Process()
    children = {child.pid: child.cpu_times() for child in main.children(recursive=True)}
    own = [main.cpu_times(), *children.values()]
    schedules = [Path(f"/proc/{pid}/schedstat") for pid in pids]
    return {
        "busy_s": sum(getattr(machine, name, 0.0) for name in ("user", "nice", "system", "irq", "softirq")),
        "steal_s": getattr(machine, "steal", 0.0),
        "own_s": sum(times.user + times.system for times in own),
        "main_s": own[0].user + own[0].system,
        "workers_s": sum(children[pid].user + children[pid].system for pid in pids),
        "waited_s": sum(int(file.read_text().split()[1]) / 1e9 for file in schedules if file.exists()),
    }


def digits_children(images: int, copies: int) -> list[EvaluationTask]:
    """The start networks for digits, the largest first, as the search submits them; its default trainer."""
    return _children(DataSettings(), TrainerSettings(), images, copies)


def large_children(images: int, copies: int, scratch: Path) -> list[EvaluationTask]:
    """The start networks for 32 x 32 colour images, on noise: what is in an image does not change how fast it is trained on."""
    rng = np.random.default_rng(0)
    for label, number in product(range(10), range(50)):
        folder = scratch / "images" / str(label)
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(folder / f"{number}.png")
    capabilities = torch.cpu.get_capabilities()
    fast = capabilities.get("avx512_bf16") or capabilities.get("amx_bf16")
    trainer = TrainerSettings(batch_size=32, precision="bfloat16" if fast else "float32")  # the defaults for images of this size
    return _children(DataSettings(source=str(scratch / "images"), cache_folder=scratch / "cache"), trainer, images, copies)


def _children(settings: DataSettings, trainer: TrainerSettings, images: int, copies: int) -> list[EvaluationTask]:
    data, found = load(settings), []
    graphs = [graph for _, graph in initial_graphs(data.shape, len(data.classes))]
    graphs.sort(key=lambda graph: -topology_values(graph)["macs"])
    for slot, (graph, _) in enumerate(product(graphs, range(copies))):
        state = transfer([(graph, from_scratch(graph))], {}, torch.Generator().manual_seed(slot))
        found.append(
            EvaluationTask(
                candidate_id=f"g0-{slot}",
                graph=to_json(graph),
                weights=pack(state),
                calibrated=(),
                teacher=None,
                data=settings,
                data_fingerprint=data.fingerprint,
                trainer=trainer,
                augmentation=Augmentation(),
                images=images,
                seed=stream_seed(0, slot),
            )
        )
    return found
