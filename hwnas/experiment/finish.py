"""The end of a search: the front is measured narrowly, and the test split is touched, once."""

import functools
import logging
from collections.abc import Callable, Mapping, Sequence

from hwnas.execution import unpack
from hwnas.experiment.context import RunContext
from hwnas.experiment.device_model import DeviceModel
from hwnas.experiment.latency import LatencySource
from hwnas.experiment.outcomes import UNUSABLE
from hwnas.graph import Graph
from hwnas.network import State
from hwnas.store import RunStore

_log = logging.getLogger(__name__)


def finish(
    *,
    context: RunContext,
    store: RunStore,
    latencies: LatencySource | None,
    front: Sequence[str],
    deployment: DeviceModel,
    report: Callable[[int], None],
) -> None:
    """Give every front member that has none yet its test error and its final latency; nothing here steers the search.

    The final latency of an architecture is measured once: what is trained on from a network has the same.
    """
    known = {row.architecture_id: row.final for row in store.rows() if "latency_ms" in row.final}
    for done, candidate_id in enumerate(front, 1):
        row = store.row(candidate_id)
        measures = latencies if "latency_ms" not in row.final else None  # measured on another device: forgotten
        tests = "test_error" not in row.final
        if row.outcome is None or row.outcome.weights is None or (measures is None and not tests):
            continue
        graph = row.candidate.graph
        state = unpack(store.weights(row.outcome.weights))
        try:
            values: Mapping[str, float] = {}
            if measures is not None and row.architecture_id in known:
                values = {name: known[row.architecture_id][name] for name in measures.names if name in known[row.architecture_id]}
            elif measures is not None:
                values = measures.final_values(graph, functools.partial(deployment.model, graph, state))
            if tests:
                values = {**values, **_test_values(context, deployment, graph, state)}
            store.set_values(candidate_id, values)
        except UNUSABLE as error:  # one model's trouble is not the run's
            store.add_event("unusable", {"candidate": candidate_id, "reason": str(error)})
            _log.warning("%s has no final values: %s", candidate_id, error)
        report(done)


def _test_values(context: RunContext, deployment: DeviceModel, graph: Graph, state: State) -> dict[str, float]:
    test = deployment.evaluate(graph, state, context.data.test)
    error, low, high = test.by(context.config.metric)
    return {"test_error": error, "test_low": low, "test_high": high, "test_plain_error": test.error}
