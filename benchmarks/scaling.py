"""Do two workers train twice as much as one, and does a search stay quick as its history and its cluster grow?

Method: (1) the digits start networks, four times each, are trained by an executor of one worker, one of two, and one of two
whose malloc gives freed memory back as usual (ours keeps it: both thresholds at 1 GiB), in turn, several rounds;
``two_workers`` is the median ratio of images per second, ``training_share`` the time in the training loop over
workers x time (the evaluation and the way to and from the worker count as not training). The time that workers waited for a
core is beside them: on a machine that is not quiet it explains what is missing. (2) LEMONADE is told up to 10^5 different
networks, of which about 2,000 are on the front; ``add_ms`` is the median tell at 10^5, ``ask_ms`` the median ask there less
the morphisms themselves, both in CPU time. (3) A cluster of 1 to 1,024 workers trains children whose times are those recorded
in (1), stretched by up to eight (networks grow): generations of as many children as workers (eight at least), against steady
state.

Command: ``python benchmarks/scaling.py``; the last result is in ``results/scaling.json``.
"""

import gc
import heapq
import statistics
import time
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import psutil
import record
import torch

import hwnas.search.lemonade as lemonade_module
from hwnas.candidate import Candidate, Outcome, Step, stream_seed
from hwnas.data import Augmentation, DataSettings, load
from hwnas.execution import EvaluationTask, Executor, LocalExecutor, pack
from hwnas.experiment.cheap import topology_values
from hwnas.graph import BatchNorm, Clip, Conv, Flatten, GlobalAvgPool, Graph, Input, Linear, Node, Op, to_json
from hwnas.morphism.catalogue import morph
from hwnas.morphism.fresh import from_scratch
from hwnas.network import transfer
from hwnas.objective import objectives_named
from hwnas.search import Lemonade, LemonadeSettings
from hwnas.spaces import initial_graphs
from hwnas.training import TrainerSettings

QUESTION = "Do two workers train twice as much as one, and what do a long history and many workers cost?"
SIZES = (100, 1000, 10_000, 100_000)
FRONT_SHARE = 0.02
CLUSTER = [2**power for power in range(11)]
GENERATIONS = 20


def main() -> None:
    arguments = record.parser("scaling", QUESTION).parse_args()
    stamp = record.machine()
    rounds, images = (4, 8_000) if arguments.quick else (10, 16_000)
    rows = list(training_rounds(rounds, images))
    history = history_costs()
    times = [seconds for row in rows for seconds in row["train_seconds"]]
    training = training_summary(rows)
    results = {"training": training, "history": history, "cluster": [idle_shares(times, workers) for workers in CLUSTER]}
    goals = [
        record.at_least("two_workers", training["two_workers"], 1.85, "times one worker"),
        record.at_least("training_share", training["training_share"], 0.9, "share of the workers' time"),
        record.at_most("add_ms", history[-1]["add_ms"], 1, "ms"),
        record.at_most("ask_ms", history[-1]["ask_ms"], 100, "ms"),
    ]
    record.record(
        benchmark="scaling",
        question=QUESTION,
        results=results,
        rows=rows,
        goals=goals,
        command=record.command(),
        quick=arguments.quick,
        stamp=stamp,
        out=arguments.out,
    )


def training_rounds(rounds: int, images: int) -> Iterator[dict[str, Any]]:
    """Each round trains the same children with every executor in turn, in an order that alternates."""
    data = DataSettings()
    children = tasks(data, images)
    setups = {"one": (1, True), "two": (2, True), "two_plain_malloc": (2, False)}
    executors: dict[str, tuple[Executor, set[int]]] = {}
    for name, (workers, keep) in setups.items():
        before = worker_pids()
        executor: Executor = LocalExecutor(workers, data, keep_freed_memory=keep)
        for child in children[: 2 * workers]:  # the workers are there, and warm
            executor.submit(child)
        collect(executor, 2 * workers)
        executors[name] = (executor, worker_pids() - before)
    try:
        for number in range(rounds):
            for name in sorted(executors, reverse=bool(number % 2)):
                executor, pids = executors[name]
                yield {"setup": name, "round": number, **one_phase(executor, pids, children)}
                record.progress(f"round {number + 1} of {rounds}: {name}")
    finally:
        for executor, _ in executors.values():
            executor.close()


def tasks(data: DataSettings, images: int) -> list[EvaluationTask]:
    """The start networks four times each, the largest first, as the search submits them."""
    found = []
    fingerprint = load(data).fingerprint
    graphs = sorted((graph for _, graph in initial_graphs((1, 8, 8), 10)), key=lambda graph: -topology_values(graph)["macs"])
    for slot, (graph, _) in enumerate(product(graphs, range(4))):
        state = transfer([(graph, from_scratch(graph))], {}, torch.Generator().manual_seed(slot))
        found.append(
            EvaluationTask(
                candidate_id=f"g0-{slot}",
                graph=to_json(graph),
                weights=pack(state),
                calibrated=(),
                teacher=None,
                data=data,
                data_fingerprint=fingerprint,
                trainer=TrainerSettings(),
                augmentation=Augmentation(),
                images=images,
                seed=stream_seed(0, slot),
            )
        )
    return found


def one_phase(executor: Executor, pids: set[int], children: list[EvaluationTask]) -> dict[str, Any]:
    waited, started = waited_s(pids), time.monotonic()
    for child in children:
        executor.submit(child)
    results = collect(executor, len(children))
    wall_s = time.monotonic() - started
    seconds = [result.train_seconds for result in results]
    return {
        "workers": len(pids),
        "images": sum(result.images for result in results),
        "wall_s": wall_s,
        "train_seconds": seconds,
        "training_share": sum(seconds) / (len(pids) * wall_s),
        "waited_share": (waited_s(pids) - waited) / (len(pids) * wall_s),
    }


def collect(executor: Executor, count: int) -> list[Any]:
    results: list[Any] = []
    while len(results) < count:
        results += executor.wait()
    failed = [result.failure.message for result in results if result.failure is not None]
    if failed:
        raise SystemExit(f"a child failed: {failed[0]}")
    return results


def worker_pids() -> set[int]:
    return {child.pid for child in psutil.Process().children() if any("spawn_main" in word for word in child.cmdline())}


def waited_s(pids: set[int]) -> float:
    """How long the main threads of these processes were ready to run and had no core (Linux; else 0)."""
    files = [Path(f"/proc/{pid}/schedstat") for pid in pids]
    return sum(int(file.read_text().split()[1]) / 1e9 for file in files if file.exists())


def training_summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    by_setup = {name: [row for row in rows if row["setup"] == name] for name in ("one", "two", "two_plain_malloc")}
    rate = {name: [row["images"] / row["wall_s"] for row in found] for name, found in by_setup.items()}
    quiet = {
        name: [row["images"] / row["wall_s"] / (1 - row["waited_share"]) for row in found] for name, found in by_setup.items()
    }

    def ratio(values: dict[str, list[float]], upper: str, lower: str) -> float:
        return statistics.median(up / low for up, low in zip(values[upper], values[lower], strict=True))

    return {
        "two_workers": ratio(rate, "two", "one"),
        "two_workers_without_waiting_for_a_core": ratio(quiet, "two", "one"),
        "malloc_thresholds_speedup": ratio(quiet, "two", "two_plain_malloc"),
        "training_share": statistics.median(row["training_share"] for row in by_setup["two"]),
        "waited_share": {name: statistics.median(row["waited_share"] for row in found) for name, found in by_setup.items()},
        "images_per_second": {name: statistics.median(values) for name, values in rate.items()},
    }


def history_costs() -> list[dict[str, Any]]:
    """What telling and asking cost, and what a candidate takes in memory, at each size of the history."""
    rng = np.random.default_rng(0)
    graphs = networks()
    objectives = objectives_named(("error", "parameters", "macs", "sensitivity"))
    strategy = Lemonade(
        settings=LemonadeSettings(),
        objectives=objectives,
        limits=(),
        initial=[],
        cheap=lambda found: [topology_values(graph) for graph in found],
        seed=0,
    )
    gc.collect()
    base, told, generation, costs = psutil.Process().memory_info().rss, 0, 0, []
    tells: list[float] = []
    for size in SIZES:
        while told < size:
            batch = [next(graphs) for _ in range(min(100, size - told))]
            tells += tell_all(strategy, batch, generation, rng)
            told, generation = told + len(batch), generation + 1
        gc.collect()
        memory = psutil.Process().memory_info().rss - base
        ask_ms, whole_ms, asks = asked(strategy)
        generation += asks
        costs.append(
            {
                "history": size,
                "front": len(strategy.front),
                "add_ms": statistics.median(tells[-1000:]),
                "add_p99_ms": float(np.percentile(tells[-1000:], 99)),
                "ask_ms": ask_ms,
                "ask_with_morphisms_ms": whole_ms,
                "bytes_per_candidate": memory / size,
            }
        )
        record.progress(f"history {size}: {costs[-1]}")
    return costs


def tell_all(strategy: Lemonade, graphs: list[Graph], generation: int, rng: np.random.Generator) -> list[float]:
    """Tell one generation of these networks; the time of each tell in ms."""
    steps = [(Step(operator="initial", graph=graph, inheritance=PLAN),) for graph in graphs]
    candidates = [Candidate(generation=generation, slot=slot, parent=None, steps=step) for slot, step in enumerate(steps)]
    strategy.adopt(candidates)
    tells = []
    for candidate in candidates:
        outcome = outcome_of(candidate, rng)
        started = time.thread_time()
        strategy.tell(outcome)
        tells.append((time.thread_time() - started) * 1e3)
    return tells


PLAN = from_scratch(initial_graphs((1, 8, 8), 10)[0][1])


def networks() -> Iterator[Graph]:
    """Different networks: three convolutions of 2 to 48 channels each."""
    for channels in product(range(2, 49), repeat=3):
        ops: list[Op] = [Input(channels=1, height=8, width=8)]
        for width in channels:
            ops += [Conv(out_channels=width, kernel=3, padding=1, stride=1), BatchNorm(), Clip()]
        ops += [GlobalAvgPool(), Flatten(), Linear(out_features=10)]
        nodes = [Node(number, op, (number - 1,) if number > 1 else ()) for number, op in enumerate(ops, 1)]
        yield Graph(tuple(nodes), len(nodes))


def outcome_of(candidate: Candidate, rng: np.random.Generator) -> Outcome:
    """A point on a trade-off surface, or, mostly, behind it."""
    point = np.exp(-6 * rng.dirichlet((1, 1, 1, 1)))
    if rng.random() > FRONT_SHARE:
        point = point * np.exp(rng.uniform(1, 2))
    error, parameters, macs, sensitivity = point
    values = {"error": min(1.0, error / 8), "parameters": parameters * 1e6, "macs": macs * 1e8, "sensitivity": sensitivity}
    return Outcome(candidate_id=candidate.id, status="finished", values=values, weights="w")


def asked(strategy: Lemonade, count: int = 7) -> tuple[float, float, int]:
    """Median time of an ask less its morphisms, and of the whole of it, in ms; the first, which fills caches, is not counted."""
    morphing = 0.0

    def timed(*arguments: Any) -> Any:
        nonlocal morphing
        started = time.thread_time()
        result = morph(*arguments)
        morphing += time.thread_time() - started
        return result

    wholes, bare = [], []
    with patch.object(lemonade_module, "morph", timed):
        for _ in range(count + 1):
            morphing, started = 0.0, time.thread_time()
            ask = strategy.ask()
            wholes.append((time.thread_time() - started) * 1e3)
            bare.append(wholes[-1] - morphing * 1e3)
            for candidate in ask.candidates:
                strategy.tell(Outcome(candidate_id=candidate.id, status="unfinished"))
    return statistics.median(bare[1:]), statistics.median(wholes[1:]), count + 1


def idle_shares(times: list[float], workers: int) -> dict[str, Any]:
    """The share of the workers' time in which they wait, with a barrier after each generation and without."""
    rng = np.random.default_rng(workers)
    children = max(8, workers)
    drawn = rng.choice(times, size=(GENERATIONS, children)) * 8 ** rng.random((GENERATIONS, children))
    shares = {}
    for name, phases in (("generational", list(drawn)), ("asynchronous", [drawn.ravel()])):
        total = sum(makespan(phase, workers) for phase in phases)
        shares[name] = 1 - float(drawn.sum()) / (workers * total)
    return {"workers": workers, "children_per_generation": children, **shares}


def makespan(times: np.ndarray, workers: int) -> float:
    """When the last of the children ends, each taken up as soon as a worker is free."""
    free = [0.0] * workers
    for seconds in times:
        heapq.heapreplace(free, free[0] + float(seconds))
    return max(free)


if __name__ == "__main__":
    main()
