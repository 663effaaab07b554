"""What a history of 10^5 networks and a front of 2,000 cost: telling, asking, memory and disk. Part of ``scaling.py``.

Networks differ (three convolutions of 2 to 48 channels each); outcomes are points on a trade-off surface or, mostly, behind
it. What the search loop keeps beside the strategy, outcomes by id, is kept here too. The objectives are a search's defaults,
latency predicted by the product's predictor, which is fitted again before every ask, as the loop does.
"""

import dataclasses
import gc
import statistics
import tempfile
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import psutil
import record
from torch import Generator

import hwnas.search.proposals as proposals_module
from hwnas.candidate import Candidate, Outcome, Step
from hwnas.config import RunConfig
from hwnas.estimate import LatencyPredictor
from hwnas.execution import pack
from hwnas.experiment.cheap import cheap_values
from hwnas.experiment.latency import FITTED
from hwnas.graph import BatchNorm, Clip, Conv, Flatten, GlobalAvgPool, Graph, Input, Linear, Node, Op
from hwnas.morphism.catalogue import morph
from hwnas.morphism.from_scratch import from_scratch
from hwnas.network import transfer
from hwnas.objectives import objectives_named
from hwnas.search import Ask, Lemonade, LemonadeSettings, Problem
from hwnas.spaces import initial_graphs
from hwnas.store import RunStore, content_hash

SIZES = (100, 1000, 10_000, 100_000)
FRONT_SHARE = 0.022  # of the networks lie on the surface, and nearly all of these stay on the front: about 2,000 of 10^5
BATCH = 100
PLAN = from_scratch(initial_graphs((1, 8, 8), 10)[0][1])


class LongSearch:
    """A strategy, and what the search loop keeps beside it."""

    def __init__(self) -> None:
        self._predictor = LatencyPredictor.fit([], [])
        self._newest: deque[tuple[Graph, float]] = deque(maxlen=FITTED)
        self._outcomes: dict[str, Outcome] = {}
        self._generation = 0
        self._rng = np.random.default_rng(0)
        self.told = 0
        problem = Problem(
            objectives=objectives_named(RunConfig().objectives),
            initial=(),
            cheap=lambda graphs: [cheap_values(graph, {"latency_ms": self._predictor.predict}) for graph in graphs],
            seed=0,
        )
        self.strategy = Lemonade(LemonadeSettings(), problem)

    def tell(self, graphs: Sequence[Graph]) -> list[tuple[float, float]]:
        """Tell one generation of these networks; the time of each tell in ms, and its CPU time."""
        steps = [(Step(operator="initial", graph=graph, inheritance=PLAN),) for graph in graphs]
        candidates = [Candidate(generation=self._generation, slot=i, steps=s) for i, s in enumerate(steps)]
        self.strategy.adopt(candidates)
        self._generation += 1
        self.told += len(candidates)
        times = []
        for candidate in candidates:
            outcome = self._outcomes[candidate.id] = outcome_of(candidate, self._rng)
            self._newest.append((candidate.graph, outcome.values["latency_ms"]))
            wall, cpu = time.perf_counter(), time.thread_time()
            self.strategy.tell(outcome)
            times.append(((time.perf_counter() - wall) * 1e3, (time.thread_time() - cpu) * 1e3))
        return times

    def ask(self) -> dict[str, float]:
        """The time of one generation's ask in ms, the predictor's fit in it: ``ask`` less the morphisms, ``whole`` with them."""
        morphing = np.zeros(2)

        def timed(*arguments: Any) -> Any:
            before = _clocks()
            result = morph(*arguments)
            morphing[:] += _clocks() - before
            return result

        with patch.object(proposals_module, "morph", timed):
            before = _clocks()
            self._predictor = LatencyPredictor.fit([graph for graph, _ in self._newest], [ms for _, ms in self._newest])
            ask: Ask = self.strategy.ask()
            whole = _clocks() - before
        self._generation += 1
        for candidate in ask.candidates:
            self.strategy.tell(Outcome(candidate_id=candidate.id, status="unfinished"))
        bare = whole - morphing
        names = ("ask", "ask_cpu", "whole", "whole_cpu")
        return dict(zip(names, map(float, (*bare, *whole)), strict=True))


def _clocks() -> np.ndarray:
    """Wall and CPU time in ms."""
    return np.array([time.perf_counter(), time.thread_time()]) * 1e3


def history_costs(asks: int) -> list[dict[str, Any]]:
    """What telling and asking cost, and what a candidate takes in memory, at each size of the history."""
    graphs, search = networks(), LongSearch()
    gc.collect()
    base, costs, tells = psutil.Process().memory_info().rss, [], deque[tuple[float, float]](maxlen=1000)
    for size in SIZES:
        while search.told < size:
            tells.extend(search.tell([next(graphs) for _ in range(min(BATCH, size - search.told))]))
        gc.collect()
        memory = psutil.Process().memory_info().rss - base
        times = [search.ask() for _ in range(asks + 1)][1:]  # the first fills caches
        wall, cpu = zip(*tells, strict=True)
        costs.append(
            {
                "history": size,
                "front": len(search.strategy.front),
                "add_ms": statistics.median(wall),
                "add_cpu_ms": statistics.median(cpu),
                "add_p99_ms": float(np.percentile(wall, 99)),
                **{f"{name}_ms": statistics.median(each[name] for each in times) for name in times[0]},
                "ask_ms_all": [each["ask"] for each in times],
                "memory_bytes_per_candidate": memory / size,
            }
        )
        record.progress(f"history {size}: {costs[-1]}")
    return costs


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
    """A point on a trade-off surface, or, mostly, behind it; with all the values that a search stores."""
    point = np.exp(-6 * rng.dirichlet((1, 1, 1, 1)))
    if rng.random() > FRONT_SHARE:
        point = point * np.exp(rng.uniform(1, 2))
    error, parameters, latency, change = (float(value) for value in point)
    error = min(1.0, error / 8)
    indices = ("sensitivity", "sensitivity_mean", "sensitivity_max", "adcr")
    others = ("macs", "memory_kb", *indices, "error_low", "error_high", "plain_error")
    values: Mapping[str, float] = {
        **dict.fromkeys((*others, "balanced_error", "loss"), error),
        "error": error,
        "parameters": parameters * 1e6,
        "latency_ms": latency,
        "expected_change": change * 1e3,
        "latency_ci_ms": latency / 50,
        "images": 8000.0,
    }
    return Outcome(candidate_id=candidate.id, status="finished", values=values, weights="w" * 64, train_seconds=1.0)


def disk_costs(count: int) -> dict[str, Any]:
    """What children of real asks take in a run's folder, and how long the loop waits for storing an outcome safely."""
    problem = Problem(
        objectives=objectives_named(("error", "parameters", "macs", "sensitivity")),
        initial=tuple(graph for _, graph in initial_graphs((1, 8, 8), 10)),
        cheap=lambda graphs: [cheap_values(graph, {}) for graph in graphs],
        seed=0,
    )
    search = Lemonade(LemonadeSettings(proposals=BATCH, accepted=BATCH // 2), problem)
    rng, waits, stored, weights_bytes = np.random.default_rng(1), [], 0, 0
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "run"
        with RunStore.create(folder, config="{}", meta={}) as store:
            while stored < count:
                candidates = search.ask().candidates
                store.add_candidates(candidates)
                for candidate in candidates:
                    state = transfer([(candidate.graph, from_scratch(candidate.graph))], {}, Generator().manual_seed(stored))
                    weights = pack(state)
                    outcome = dataclasses.replace(outcome_of(candidate, rng), weights=content_hash(weights))
                    started = time.perf_counter()
                    store.add_outcome(outcome, weights)
                    waits.append((time.perf_counter() - started) * 1e3)
                    search.tell(outcome)
                    stored, weights_bytes = stored + 1, weights_bytes + len(weights)
        database = sum(file.stat().st_size for file in folder.iterdir() if file.is_file())
    return {
        "candidates": stored,
        "database_bytes_per_candidate": database / stored,
        "weights_bytes_per_candidate": weights_bytes / stored,
        "store_outcome_ms": statistics.median(waits),
    }
