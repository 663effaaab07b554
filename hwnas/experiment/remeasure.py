"""Going on with a run on another device: every trained network gets its values there, all at once or not at all.

Every latency is kept the moment it is measured, under the fingerprint of the device it was measured on; the run itself changes
in one transaction at the end. So an attempt that is cut short leaves the run as it was, on the device it had, and the next
attempt on the same device measures only what is left.
"""

import dataclasses
import functools
import logging
from collections.abc import Callable, Mapping, Sequence

from hwnas.candidate import Outcome
from hwnas.device import HardwareProfile
from hwnas.errors import RequestError
from hwnas.execution import unpack
from hwnas.experiment.context import RunContext
from hwnas.experiment.device_model import DeviceModel, error_values
from hwnas.experiment.latency import LatencySource, latency_source
from hwnas.experiment.outcomes import UNUSABLE, unusable
from hwnas.network import State
from hwnas.objective import Limit
from hwnas.search import broken_limit
from hwnas.store import Row, RunStore

_log = logging.getLogger(__name__)
TEST = ("test_error", "test_low", "test_high", "test_plain_error")


def remeasure(context: RunContext, store: RunStore, *, meta: Mapping[str, object], check: Callable[[], None]) -> int:
    """Give every trained network its values on this device in place of those on another; ``meta`` says which device it is.

    Who breaks a limit there is infeasible from now on, and who broke it on the other device may be finished again; one whose
    file this device cannot run has failed. Final latencies are forgotten: the end of the search measures its front again, and,
    where one of the two devices computes the errors itself, tests it again. ``check`` may raise between two networks. Weights
    that were collected are refused before: `refuse_collected`.

    Who broke the other device's latency limit and was never trained has no latency here, and may be proposed again: gives their
    number.
    """
    latencies = latency_source(context, store)
    assert latencies is not None
    deployment = DeviceModel(context)
    errors_stand = deployment.is_exact and store.meta("profile", HardwareProfile).precision == "float32"
    measured = functools.partial(
        _measured, context=context, latencies=latencies, deployment=deployment, errors_stand=errors_stand
    )
    revised = []
    for row in _ended(store):
        revised.append(_anew(row, context.hard_limits, store, measured, latencies.names))
        check()
    reopened = sum(outcome.status == "infeasible" and outcome.weights is None for outcome in revised)
    store.revise(revised, forget=latencies.names if errors_stand else latencies.names + TEST, meta=meta)
    if reopened:
        _log.info("%d networks were over the latency limit of the other device, untrained; they may be proposed again", reopened)
    return reopened


def refuse_collected(store: RunStore) -> None:
    """Raise RequestError where weights were collected, so that there is nothing to measure again."""
    named = [(row.id, row.outcome.weights) for row in _ended(store) if row.outcome is not None]
    gone = [candidate_id for candidate_id, weights in named if weights is not None and not store.has_weights(weights)]
    if gone:
        raise RequestError(
            f"the weights of {len(gone)} networks ({', '.join(gone[:3])}, ..) were collected, so they cannot be measured again; "
            "go on with the device that the run has, or start a new run"
        )


def _ended(store: RunStore) -> list[Row]:
    """What has an outcome."""
    return [row for row in store.rows() if row.outcome is not None and row.outcome.status != "unfinished"]


def _anew(
    row: Row,
    limits: Sequence[Limit],
    store: RunStore,
    measured: Callable[[Row, State], Mapping[str, float]],
    names: Sequence[str],
) -> Outcome:
    """The outcome of a candidate as it is on this device; what was never trained has nothing that is measured (``names``)."""
    outcome = row.outcome
    assert outcome is not None
    values = {name: value for name, value in outcome.values.items() if name not in names}
    if outcome.weights is None:
        return dataclasses.replace(outcome, values=values)
    try:
        values |= measured(row, unpack(store.weights(outcome.weights)))
    except UNUSABLE as error:
        return dataclasses.replace(outcome, status="failed", values=values, failure=unusable(error))
    if outcome.status == "unvalidated":
        return dataclasses.replace(outcome, values=values)
    feasible = broken_limit(limits, values) is None
    return dataclasses.replace(outcome, status="finished" if feasible else "infeasible", values=values, failure=None)


def _measured(
    row: Row, state: State, *, context: RunContext, latencies: LatencySource, deployment: DeviceModel, errors_stand: bool
) -> dict[str, float]:
    graph = row.candidate.graph
    values = dict(latencies.values(graph, functools.partial(deployment.model, graph, state)))
    if not errors_stand and "error" in row.values:  # another device's kernels round in their own way
        values |= error_values(deployment.evaluate(graph, state, context.data.validation), context.config.metric)
    return values
