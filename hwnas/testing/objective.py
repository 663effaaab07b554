"""What an objective promises: a name, and a finite value that is the same whenever it is asked for."""

import math
from collections.abc import Callable

import torch

from hwnas.data import DataSettings, load
from hwnas.device import Latency
from hwnas.graph import from_json, to_json
from hwnas.network import Network
from hwnas.objectives import GraphObjective, Source, TrainedObjective, source_named
from hwnas.settings.reference import reference_of
from hwnas.testing.promise import fresh_state, promise, sample_graphs

MEASURED = Latency(
    latency_ms=0.5,
    ci_ms=0.01,
    raw_ms=0.5,
    waiting=0.0,
    p50_ms=0.5,
    p90_ms=0.6,
    p99_ms=0.7,
    samples=100,
    runs_per_sample=1,
    blocks=5,
    reference_ms=1.0,
    reference_nominal_ms=1.0,
    reference_spread=0.01,
    elapsed_s=1.0,
    load_ms=2.0,
    peak_memory_kb=512,
    other_cores=0.0,
    quiet=True,
    fingerprint_sha256="0" * 64,
    profile_sha256="0" * 64,
)


def check_objective(objective: str | Source) -> None:
    """Check an objective, given as its name, as a reference ``package.module:attribute`` or as the object itself.

    1. A later process finds it again, by its name or reference.
    2. Its value is finite, above 0 where it is compared by its logarithm, and the same when it is computed again.
    3. A value of the graph is that of the graph as it is stored; one of a trained network leaves that as it was.
    """
    source = source_named(objective if isinstance(objective, str) else reference_of(objective))  # 1.
    words = source.objective
    if isinstance(source, GraphObjective):
        for graph in sample_graphs():
            value = _same_twice(words.name, lambda graph=graph: source.of_graph(graph))  # type: ignore[misc]
            _usable(words.name, value, above_0=words.log_scale or words.relative)  # 2.
            promise(source.of_graph(from_json(to_json(graph))) == value, f"{words.name} of a stored graph is another")  # 3.
    elif isinstance(source, TrainedObjective):
        source.prepare()
        data, graph = load(DataSettings()), sample_graphs()[0]
        network = Network(graph, fresh_state(graph)).eval()
        before = {name: tensor.clone() for name, tensor in network.state().items()}
        value = _same_twice(words.name, lambda: source.of_trained(network, data))
        _usable(words.name, value, above_0=words.log_scale or words.relative)
        kept = all(torch.equal(tensor, before[name]) for name, tensor in network.state().items())
        promise(kept, f"{words.name} changed the network's tensors")
    elif words.name != "error":
        found = source.of_device(MEASURED)  # type: ignore[union-attr]
        promise(found is not None, f"{words.name} is missing from a measurement that has everything")
        _usable(words.name, float(found or 0.0), above_0=words.log_scale or words.relative)


def _same_twice(name: str, compute: Callable[[], float]) -> float:
    first, second = float(compute()), float(compute())
    promise(math.isclose(first, second, rel_tol=1e-6), f"{name} gave {first}, and {second} when it was asked again")
    return first


def _usable(name: str, value: float, *, above_0: bool) -> None:
    promise(math.isfinite(value), f"{name} must be finite, got {value}")
    promise(not above_0 or value > 0, f"{name} is compared by its logarithm, so it must be above 0, got {value}")
