"""A run as experiment trackers keep it, written once or again and again while a search writes the run."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hwnas.api.watching import interval_of, watch
from hwnas.errors import RequestError
from hwnas.store import RunStore
from hwnas.tracking import Tracked, record_of

if TYPE_CHECKING:
    from hwnas.api.run import Run

NAMELESS = {"", ".", ".."}


@dataclass(frozen=True, slots=True, kw_only=True)
class Trackers:
    """Where a run is written to: addresses of MLflow and Optuna, a folder of TensorBoard; None: not there.

    ``name``: what the run is called there, None as its folder; ``experiment``: that of MLflow. Raises RequestError without any.
    """

    mlflow: str | None = None
    tensorboard: Path | None = None
    optuna: str | None = None
    name: str | None = None
    experiment: str = "hwnas"

    def __post_init__(self) -> None:
        if self.mlflow is None and self.tensorboard is None and self.optuna is None:
            raise RequestError("say where to: --mlflow URI, --tensorboard DIR, --optuna URL, one of them or several")
        if self.name is not None and (self.name in NAMELESS or "/" in self.name or "\\" in self.name):
            raise RequestError(f"a name is that of a folder and a study, without slashes, got {self.name!r}")

    def write(self, run: "Run") -> list[Tracked]:
        """Bring each of them up to date; nothing is written of a run that has not begun."""
        with RunStore.open(run.folder, write=False) as store:
            record = record_of(store, run.objectives, self.name)
        if record is None:
            return []
        done = list[Tracked]()
        if self.mlflow is not None:
            from hwnas.tracking import mlflow_runs

            done.append(mlflow_runs.write(record, self.mlflow, self.experiment))
        if self.tensorboard is not None:
            from hwnas.tracking import tensorboard_events

            done.append(tensorboard_events.write(record, self.tensorboard))
        if self.optuna is not None:
            from hwnas.tracking import optuna_study

            done.append(optuna_study.write(record, self.optuna))
        return done

    def follow(self, run: "Run", every: str | float) -> list[Tracked]:
        """Bring them up to date whenever the run has changed, until it is over; gives what they have in the end, and what of it
        was added in all that time."""
        done: list[Tracked] = []

        def write(refresh_s: float | None) -> None:
            before = {each.tracker: each.added for each in done}
            done[:] = [each.since(before.get(each.tracker, 0)) for each in self.write(run)]

        watch(run, write, interval_of(every))
        return done
