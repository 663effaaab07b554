"""A run as an Optuna study, which optuna-dashboard opens: one trial for each trained network, its objectives as values.

Values are those that the search compared, so that ``study.best_trials`` is the front without the objectives' resolutions. An
objective's upper bound is a constraint. A trial that was added is never changed, as Optuna has it; what becomes known later (the
front, test errors, latencies measured finely) stands in the study's own attributes.
"""

import math
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any

from hwnas.errors import HwnasError, RequestError, TrackerError
from hwnas.report import Entry
from hwnas.tracking.record import RunRecord, Tracked, facts_of, metrics_of, missing, settings_of, shown

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial

RUN, NETWORK = "hwnas_run", "id"  # user attributes: the identity of a run, the id of a network
STATES = {"finished": "COMPLETE", "failed": "FAIL", "stopped_early": "PRUNED"}


def write(record: RunRecord, url: str) -> Tracked:
    """Bring a study of the run's name up to date with a run.

    Raises RequestError where Optuna is not installed or the study is another run's, TrackerError where the storage fails.
    """
    try:
        import optuna
    except ModuleNotFoundError as error:
        raise missing("optuna", error) from error
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)  # that a study was made is told by the command
    try:
        with _explained(url):
            study = _study(record, url)
            known = {trial.user_attrs.get(NETWORK): trial for trial in study.get_trials(deepcopy=False)}
            _refuse_changed(known, record)
            new = [entry for entry in record.entries if entry.id not in known]
            for entry in new:
                study.add_trial(_trial(entry, record))
            attributes = {"front": list(record.front), "found_out_later": _later(record), "ended": record.ended}
            for name, value in attributes.items():
                if study.user_attrs.get(name) != value:
                    study.set_user_attr(name, value)
    finally:
        optuna.logging.set_verbosity(verbosity)
    counts = {"added": len(new), "updated": 0, "known": len(record.entries) - len(new)}
    return Tracked(tracker="Optuna", place=f"{shown(url)}, study {record.name}", left_out=record.left_out, **counts)


@contextmanager
def _explained(url: str) -> Iterator[None]:
    """What Optuna and what it stands on raise, as errors that say which storage it was."""
    from optuna.exceptions import OptunaError
    from sqlalchemy.exc import ArgumentError, SQLAlchemyError

    try:
        yield
    except HwnasError:
        raise
    except ArgumentError as error:
        raise RequestError(f"a storage of Optuna is an address such as sqlite:///optuna.db, got {shown(url)}") from error
    except (OptunaError, SQLAlchemyError, ModuleNotFoundError, RuntimeError) as error:
        # No driver of the database is a ModuleNotFoundError; tables of another version, or of MLflow, are a RuntimeError.
        first = str(error).splitlines()[0].rstrip(".") + "."
        raise TrackerError(
            f"Optuna could not write to {shown(url)}: {first} Check the address, and that it is Optuna's own; repeat to go on"
        ) from error


def _study(record: RunRecord, url: str) -> "Study":
    import optuna
    from optuna.exceptions import ExperimentalWarning

    directions = ["minimize"] * len(record.objectives)
    names = optuna.get_all_study_names(url)
    study = optuna.create_study(storage=url, study_name=record.name, directions=directions, load_if_exists=True)
    if record.name not in names:
        study.set_user_attr(RUN, record.identity)
        with warnings.catch_warnings(action="ignore", category=ExperimentalWarning):
            study.set_metric_names([objective.name for objective in record.objectives])
        study.set_user_attr("config", settings_of(record.config))
    if study.user_attrs.get(RUN) != record.identity:
        raise RequestError(f"the study {record.name!r} in {shown(url)} is not of this run: name another with --name")
    return study


def _refuse_changed(known: "Mapping[str | None, FrozenTrial]", record: RunRecord) -> None:
    """Raise RequestError where the run was measured again since: values of two devices must not mix, and trials do not change."""
    for entry in record.entries:
        then = known[entry.id].values if entry.id in known else None
        if then is not None and not all(map(math.isclose, then, _values(entry, record))):
            raise RequestError(
                f"the study {record.name!r} has other values of {entry.id} than the run has now, which was measured again since; "
                "Optuna changes no trial: name another study with --name"
            )


def _values(entry: Entry, record: RunRecord) -> list[float]:
    return [entry.row.needed(objective.name) for objective in record.objectives]


def _trial(entry: Entry, record: RunRecord) -> "FrozenTrial":
    from optuna.trial import TrialState, create_trial

    row, state = entry.row, TrialState[STATES[entry.status]]
    bounds = {o.name: o.upper_bound for o in record.objectives if o.upper_bound is not None}
    attributes: dict[str, Any] = {NETWORK: entry.id, **facts_of(entry), **metrics_of(entry), "status": entry.status}
    if entry.failure is not None:
        attributes["failure"] = entry.failure
    is_complete = state == TrialState.COMPLETE
    trial = create_trial(
        state=state,
        values=_values(entry, record) if is_complete else None,
        user_attrs=attributes,
        system_attrs={"constraints": [row.needed(name) - bound for name, bound in bounds.items()]} if is_complete else {},
    )
    trial.datetime_start = datetime.fromtimestamp(row.created_at)
    trial.datetime_complete = datetime.fromtimestamp(row.finished_at or row.created_at)
    return trial


def _later(record: RunRecord) -> dict[str, dict[str, float]]:
    """Values that are found out of networks after the search compared them, by id."""
    return {entry.id: dict(entry.row.final) for entry in record.entries if entry.row.final}
