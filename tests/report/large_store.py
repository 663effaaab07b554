"""A run of thousands of candidates, written in one transaction: as many outcomes one by one would take minutes of syncing."""

import dataclasses
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np

from hwnas.candidate import Candidate, CurvePoint, Outcome
from hwnas.graph import cost
from hwnas.store import RunStore
from hwnas.store.codec import outcome_to_json
from hwnas.store.database import DATABASE
from tests.store.store_samples import child, initial

VALUES = ("sensitivity", "sensitivity_mean", "sensitivity_max", "adcr", "expected_change", "memory_kb", "exposure", "loss")
SLOTS = 20


def large_store(folder: Path, count: int, seed: int = 0) -> None:
    """``count`` finished networks in generations of 20, each grown from one of the generation before; 50 different ones."""
    rng = np.random.default_rng(seed)
    first = initial(0, "residual")
    shapes = [child(first, 1, slot, steps=1 + slot % 3) for slot in range(50)]
    candidates = [first]
    for number in range(1, count):
        generation, slot = divmod(number - 1, SLOTS)
        parents = (first.id,) if generation == 0 else (f"g{generation}-{int(rng.integers(SLOTS))}",)
        shape = shapes[number % len(shapes)]
        candidates.append(dataclasses.replace(shape, generation=generation + 1, slot=slot, parents=parents))
    with RunStore.create(folder, config="{}", meta={"data_name": "made up"}) as store:
        store.add_candidates(candidates)
        for generation in range(count // SLOTS):
            summary = {"used_s": 30.0 * generation, "front": 12, "hypervolume": 1 - 0.9 ** (generation + 1)}
            store.add_event("generation", summary, generation=generation)
    rows = [
        (100_000 + place, each.id, "finished", each_outcome.weights, 0.0, outcome_to_json(each_outcome))
        for place, each in enumerate(candidates)
        if (each_outcome := _outcome(each, rng))
    ]
    with closing(sqlite3.connect(folder / DATABASE)) as database, database:
        database.executemany("INSERT INTO outcomes VALUES (?, ?, ?, ?, ?, ?)", rows)


def _outcome(candidate: Candidate, rng: np.random.Generator) -> Outcome:
    costs = cost(candidate.graph)
    parameters = float(costs.parameters) * float(rng.lognormal(0.0, 1.0))
    error = float(np.clip(0.5 * (parameters / 1000) ** -0.4 * rng.lognormal(0.3, 0.3), 0.001, 0.9))
    latency = 1e-6 * parameters * float(rng.lognormal(0.0, 0.3)) + 0.01
    values = {name: float(rng.random()) for name in VALUES}
    values |= {"error": error, "error_low": 0.9 * error, "error_high": min(1.0, 1.1 * error), "parameters": round(parameters)}
    values |= {"macs": float(costs.macs), "latency_ms": latency, "latency_ci_ms": 0.02 * latency, "images": 50_000.0}
    curve = tuple(
        CurvePoint(images=2_500 * (place + 1), loss=2.0 / (place + 1), error=error if place == 19 else None)
        for place in range(20)
    )
    return Outcome(candidate_id=candidate.id, status="finished", values=values, weights="0" * 64, train_seconds=12.5, curve=curve)
