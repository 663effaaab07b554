"""The end of a search: the front is measured narrowly, and the test split is touched, once."""

import functools
from collections.abc import Callable, Sequence

from hwnas.execution import unpack
from hwnas.experiment.deployment import Deployment
from hwnas.experiment.latency import LatencySource
from hwnas.experiment.parts import Parts
from hwnas.store import RunStore


def finish(
    *,
    parts: Parts,
    store: RunStore,
    latencies: LatencySource | None,
    front: Sequence[str],
    deployment: Deployment,
    report: Callable[[int], None],
) -> None:
    """Give every front member that has none yet its test error and its final latency; nothing here steers the search."""
    for done, candidate_id in enumerate(front, 1):
        row = store.row(candidate_id)
        if row.outcome is None or row.outcome.weights is None or "test_error" in row.final:
            continue
        graph = row.candidate.graph
        state = unpack(store.weights(row.outcome.weights))
        values: dict[str, float] = {}
        if latencies is not None:
            values |= latencies.final_values(graph, functools.partial(deployment.model, graph, state))
        test = deployment.evaluate(graph, state, parts.data.test)
        values |= {"test_error": test.error, "test_low": test.low, "test_high": test.high, "test_wrong": float(test.wrong)}
        store.set_values(candidate_id, values)
        report(done)
