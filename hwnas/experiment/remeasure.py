"""Going on with a run on another device: every finished network gets its latency there."""

import functools

from hwnas.execution import unpack
from hwnas.experiment.deployment import Deployment
from hwnas.experiment.interrupt import Interrupt
from hwnas.experiment.latency import LatencySource
from hwnas.store import RunStore


def remeasure(store: RunStore, latencies: LatencySource, deployment: Deployment, interrupt: Interrupt) -> None:
    """Give every finished network its latency on this device in place of the one on another, before anything is replayed."""
    for row in store.rows():
        if row.outcome is None or row.outcome.weights is None:
            continue
        graph = row.candidate.graph
        model = functools.partial(deployment.model, graph, unpack(store.weights(row.outcome.weights)))
        store.revise(row.id, latencies.values(graph, model))
        if "latency_ms" in row.final:
            store.set_values(row.id, latencies.final_values(graph, model))
        interrupt.check()
