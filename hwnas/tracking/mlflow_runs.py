"""A run in MLflow: one parent run for the search, below it one run for each trained network.

The parent has the configuration as parameters and what each generation ended with as metrics, by generation. A network has its
values as metrics, its learning curve as ``curve/loss`` and ``curve/error`` by images shown, where it comes from as parameters.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from hwnas.errors import RequestError, TrackerError
from hwnas.report import Entry
from hwnas.tracking.record import RunRecord, Tracked, facts_of, metrics_of, missing, settings_of, shown

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Run

RUN, NETWORK = "hwnas.run", "hwnas.network"  # tags: the identity of a run, the id of a network
POINTS = "curve_points"  # a parameter, written with the last of a network: what lacks it was cut off and is written again
STATUS = {"finished": "FINISHED", "failed": "FAILED", "stopped_early": "KILLED"}
BATCH = 900  # MLflow takes 1,000 metrics at a time, 100 of them with parameters or tags
LONGEST = 500  # characters of a parameter, in every store of MLflow

ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",  # as ONNX Runtime's, it is the user's to turn on
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",  # a server that is away is not asked for minutes
    "MLFLOW_LOGGING_LEVEL": "WARNING",  # that tables were made is not what was asked
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # two lines a network
}


def write(record: RunRecord, uri: str, experiment: str) -> Tracked:
    """Bring a tracking store up to date with a run.

    Raises RequestError where MLflow is not installed or cannot use the store's address, TrackerError where the store fails.
    """
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)  # what the user has set stays
    try:
        from mlflow import MlflowClient
    except ModuleNotFoundError as error:
        raise missing("mlflow", error) from error
    with _explained(uri):
        client = MlflowClient(tracking_uri=uri)
        place = _experiment(client, experiment)
        known = {run.data.tags.get(NETWORK, ""): run for run in _runs(client, place, record.identity)}
        parent = known.pop("", None) or client.create_run(
            place, start_time=_ms(record.began_at), tags={RUN: record.identity}, run_name=record.name
        )
        counts = {"added": 0, "updated": 0, "known": 0}
        for entry in record.entries:
            counts[_write_network(client, parent, known.get(entry.id), entry)] += 1
        _write_search(client, parent, record)
    return Tracked(tracker="MLflow", place=f"{shown(uri)}, experiment {experiment}", left_out=record.left_out, **counts)


@contextmanager
def _explained(uri: str) -> Iterator[None]:
    """What MLflow and what it stands on raise, as errors that say which store it was."""
    from mlflow.exceptions import MlflowException
    from requests.exceptions import RequestException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (MlflowException, RequestException, SQLAlchemyError, OSError) as error:
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise TrackerError(f"MLflow could not write to {shown(uri)}: {first}; check the address, and repeat to go on") from error


def _experiment(client: "MlflowClient", name: str) -> str:
    found = client.get_experiment_by_name(name)
    if found is not None and found.lifecycle_stage != "active":
        raise RequestError(f"the experiment {name!r} was deleted in MLflow: restore it, or name another with --experiment")
    return str(client.create_experiment(name) if found is None else found.experiment_id)


def _runs(client: "MlflowClient", experiment: str, identity: str) -> "Iterator[Run]":
    """Whatever is there of a run: its parent, which names no network, and its networks."""
    token = None
    while True:
        page = client.search_runs([experiment], f"tags.`{RUN}` = '{identity}'", page_token=token)
        yield from page
        if not (token := page.token):
            return


def _write_network(client: "MlflowClient", parent: "Run", known: "Run | None", entry: Entry) -> str:
    """Bring one network up to date; gives what was done: ``added``, ``updated``, or ``known``."""
    from mlflow.entities import Metric, Param, RunTag

    row = entry.row
    ended_ms = _ms(row.finished_at or row.created_at)
    tags = {"hwnas.status": entry.status, "hwnas.front": "yes" if entry.on_front else "no"}
    if entry.failure is not None:
        tags["hwnas.failure"] = entry.failure
    run = known or client.create_run(
        parent.info.experiment_id,
        start_time=_ms(row.created_at),
        tags={RUN: parent.data.tags[RUN], NETWORK: entry.id, "mlflow.parentRunId": parent.info.run_id, **tags},
        run_name=entry.id,
    )
    params, is_whole = facts_of(entry) | {POINTS: str(len(entry.curve()))}, POINTS in run.data.params
    if not is_whole:
        for batch in _batches(_curve(entry, ended_ms)):
            client.log_batch(run.info.run_id, metrics=batch)
    values = metrics_of(entry)
    new = [name for name, value in values.items() if run.data.metrics.get(name) != value]
    changed = [name for name, value in tags.items() if run.data.tags.get(name) != value]
    if is_whole and not new and not changed and run.info.status == STATUS[entry.status]:
        return "known"
    client.log_batch(
        run.info.run_id,
        metrics=[Metric(name, values[name], ended_ms, 0) for name in new],
        params=[Param(name, value[:LONGEST]) for name, value in params.items() if name not in run.data.params],
        tags=[RunTag(name, tags[name]) for name in changed],
    )
    if run.info.status != STATUS[entry.status]:
        client.set_terminated(run.info.run_id, STATUS[entry.status], ended_ms)
    return "added" if known is None else "updated"


def _curve(entry: Entry, at_ms: int) -> "list[Metric]":
    """The learning curve; a point written twice is the same to the last digit, and is kept once."""
    from mlflow.entities import Metric

    return [
        Metric(f"curve/{name}", float(value), at_ms, int(point["images"] or 0))
        for point in entry.curve()
        for name in ("loss", "error")
        if (value := point[name]) is not None
    ]


def _write_search(client: "MlflowClient", parent: "Run", record: RunRecord) -> None:
    """The parent run: the configuration, and each generation that is not there yet."""
    from mlflow.entities import Metric, Param

    run_id, last = parent.info.run_id, int(parent.data.metrics.get("generation", -1))
    params = settings_of(record.config) | {"objectives": ",".join(objective.name for objective in record.objectives)}
    new = [Param(name, value[:LONGEST]) for name, value in params.items() if name not in parent.data.params]
    for start in range(0, len(new), 100):
        client.log_batch(run_id, params=new[start : start + 100])
    metrics = []
    for generation in record.generations:
        if generation.number > last:
            values: Mapping[str, float | None] = {
                "hypervolume": generation.hypervolume,
                "front_size": generation.front_size,
                "used_s": generation.used_s,
                "generation": generation.number,
            }
            at_ms = _ms(generation.at)
            metrics += [Metric(name, float(v), at_ms, generation.number) for name, v in values.items() if v is not None]
    for batch in _batches(metrics):
        client.log_batch(run_id, metrics=batch)
    if record.ended is not None:
        if parent.data.tags.get("hwnas.ended") != record.ended or parent.info.status != "FINISHED":
            client.set_tag(run_id, "hwnas.ended", record.ended)
            last_ms = max((_ms(entry.row.finished_at or 0) for entry in record.entries), default=_ms(record.began_at))
            client.set_terminated(run_id, "FINISHED", last_ms)
    elif parent.info.status == "FINISHED":  # it goes on with a larger budget
        client.update_run(run_id, status="RUNNING")


def _batches(metrics: "Sequence[Metric]") -> "Iterator[Sequence[Metric]]":
    return (metrics[start : start + BATCH] for start in range(0, len(metrics), BATCH))


def _ms(seconds: float) -> int:
    return round(1000 * seconds)
