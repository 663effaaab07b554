"""Candidates, outcomes and weights to put into a store."""

import numpy as np
from safetensors.numpy import save

from hwnas.candidate import Candidate, Outcome, Step
from hwnas.morphism.inheritance import Fresh, Inheritance
from hwnas.morphism.insert import InsertConvolution
from hwnas.store import content_hash
from tests.graphs import SAMPLES


def initial(slot: int, name: str = "plain", generation: int = 0) -> Candidate:
    graph = SAMPLES[name]()
    plan = Inheritance(exact=False, records=tuple(Fresh(tensor=tensor) for tensor in graph.tensors()))
    step = Step(operator="initial", graph=graph, inheritance=plan)
    return Candidate(generation=generation, slot=slot, steps=(step,), cheap={"parameters": 330.0, "latency_ms": 0.1})


def child(parent: Candidate, generation: int, slot: int, steps: int = 2) -> Candidate:
    rng = np.random.default_rng((generation, slot))
    operator, graph, way = InsertConvolution(), parent.graph, []
    for _ in range(steps):
        site = operator.sites(graph)[int(rng.integers(len(operator.sites(graph))))]
        morphed = operator.apply(graph, site, rng)
        graph = morphed.graph
        way.append(Step(operator=operator.name, graph=graph, inheritance=morphed.inheritance))
    return Candidate(generation=generation, slot=slot, parents=(parent.id,), steps=tuple(way), cheap={"parameters": 1 / 3})


def weights_of(seed: int, size: int = 50) -> bytes:
    return save({"1.weight": np.random.default_rng(seed).standard_normal(size).astype(np.float32)})


def finished(candidate_id: str, data: bytes, error: float = 0.1 + 0.2) -> Outcome:
    return Outcome(
        candidate_id=candidate_id,
        status="finished",
        values={"error": error, "parameters": 330.0},
        weights=content_hash(data),
        train_seconds=1.5,
    )
