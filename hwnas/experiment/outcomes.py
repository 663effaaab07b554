"""From what a worker gave back to the outcome that is stored."""

import math
from collections.abc import Mapping

from hwnas.candidate import Failure, Outcome
from hwnas.errors import DivergedError, ExportError, HwnasError, ModelError, ObjectiveError
from hwnas.execution import EvaluationResult, unpack
from hwnas.experiment.context import RunContext
from hwnas.experiment.device_model import DeviceModel, error_values
from hwnas.graph import Graph
from hwnas.store import content_hash

# What one network's file may do; a device that is lost is another matter, and ends the session.
UNUSABLE = (DivergedError, ExportError, ModelError, ObjectiveError)


def outcome_of(
    result: EvaluationResult,
    *,
    graph: Graph,
    values: Mapping[str, float],
    context: RunContext,
    deployment: DeviceModel,
    train_seconds: float,
    validated: bool = True,
) -> Outcome:
    """What came of a training; ``values`` were known before it, ``train_seconds`` are those of the parts before this one.

    Not ``validated`` is what was trained on the validation images, too.
    """
    if result.weights is not None and not validated:
        return Outcome(
            candidate_id=result.candidate_id,
            status="unvalidated",
            values={**values, "images": float(result.images)},
            weights=content_hash(result.weights),
            train_seconds=train_seconds + result.train_seconds,
            curve=result.curve,
        )
    if result.evaluation is None or result.weights is None:
        failure = result.failure or Failure(kind="work_failed", message="the worker gave no result")
        return failed(result.candidate_id, failure)
    found = result.evaluation
    if not deployment.is_exact:
        try:
            found = deployment.evaluate(graph, unpack(result.weights), context.data.validation)
        except UNUSABLE as reason:
            return failed(result.candidate_id, unusable(reason))
    after = {**error_values(found, context.config.metric), "images": float(result.images), **result.values}
    if endless := [name for name, value in after.items() if not math.isfinite(value)]:  # of logits that are finite, just
        failure = Failure(kind="diverged", message=f"no finite {', '.join(endless)}; lower the learning rate")
        return failed(result.candidate_id, failure)
    return Outcome(
        candidate_id=result.candidate_id,
        status="finished",
        values={**values, **after},
        weights=content_hash(result.weights),
        train_seconds=train_seconds + result.train_seconds,
        curve=result.curve,
    )


def unusable(error: HwnasError) -> Failure:
    """Why a network is of no use on the device, one of UNUSABLE: it cannot run its file, or that gives no answers there;
    or an objective has no value."""
    if isinstance(error, ObjectiveError):
        return Failure(kind="work_failed", message=str(error))
    return Failure(kind="diverged" if isinstance(error, DivergedError) else "export_failed", message=str(error))


def failed(candidate_id: str, failure: Failure) -> Outcome:
    """The outcome of a candidate that failed for this reason."""
    return Outcome(candidate_id=candidate_id, status="failed", failure=failure)
