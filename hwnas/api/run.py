"""A run on disk, and everything that can be asked of it."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from hwnas.api.banding import Band, bands_of
from hwnas.api.checking import NUMBER, PATH, checked
from hwnas.api.files import Output, report_of
from hwnas.api.options import budget_changes, expected_config, physical_cores
from hwnas.api.picking import Pick, chosen, pick
from hwnas.api.showing import Front, as_html, in_a_line
from hwnas.config import config_from_json, seconds
from hwnas.errors import ConfigError, RequestError
from hwnas.objective import Objective
from hwnas.objectives import objectives_named
from hwnas.progress.log_file import both, run_log
from hwnas.progress.progress import OUT_OF_TIME
from hwnas.report import Entry, entries, lost, predictor_error, too_short_for, why_empty, why_ended, why_of_no_use
from hwnas.settings.reference import import_modules
from hwnas.store import RunStore

if TYPE_CHECKING:
    from pandas import DataFrame

    from hwnas.campaign import FaultReport
    from hwnas.campaign.campaign import Watch
    from hwnas.campaign.settings import FaultOptions
    from hwnas.experiment import Ended, Listener, Trained
    from hwnas.export import Manifest
    from hwnas.models.classifier import Classifier
    from hwnas.tracking import Tracked


class Run:
    """A run on disk. It holds nothing but its folder: every call sees the run as it is then, even while a search writes it."""

    @checked(folder=PATH)
    def __init__(self, folder: str | os.PathLike[str]) -> None:
        """Raises RunFolderError where the folder holds no run."""
        self.folder = Path(folder)
        with self._store() as store:
            config = config_from_json(store.config)
        import_modules(config.imports)
        self.objectives: tuple[Objective, ...] = objectives_named(
            config.objectives, config.max_error, config.metric, config.limits
        )

    def __repr__(self) -> str:
        return in_a_line(self)

    def _repr_html_(self) -> str:
        return as_html(self)

    def _store(self) -> RunStore:
        return RunStore.open(self.folder, write=False)

    def rows(self) -> list[Entry]:
        """Every candidate that has an outcome: the front, best error first, then what is dominated, failed or infeasible.

        Example: ``[entry.id for entry in run.rows() if entry.status == "failed"]``
        """
        with self._store() as store:
            return entries(store.rows(), self.objectives)

    def front(self) -> Front:
        """The Pareto front of all that finished so far, best error first: a list, which a notebook shows as a table.

        Example: ``run.front()[0].value("error")``
        """
        return Front((entry for entry in self.rows() if entry.on_front), self.objectives)

    def predictor_error(self) -> str | None:
        """How well its latencies were predicted before they were measured, in words; None where nothing was predicted."""
        with self._store() as store:
            return predictor_error(store)

    def why_empty(self) -> str | None:
        """Why there is no front; None where there is one."""
        return why_empty(self.rows())

    def why_of_no_use(self) -> str | None:
        """That no network is within the error, or another trained value, that the run allows; None where one is."""
        return why_of_no_use(self.rows(), self.objectives)

    def too_short(self) -> str | None:
        """That its time ended before a child of a network was trained; None where one was, or another end was asked for."""
        return too_short_for(self.rows()) if self.ended() == OUT_OF_TIME else None

    def lost(self) -> str | None:
        """That weights lie in the folder which no outcome names, as when the database was lost in part; None where none do."""
        with self._store() as store:
            return lost(store)

    def ended(self) -> str | None:
        """Why the search ended; None where it was interrupted or is at work."""
        with self._store() as store:
            return why_ended(store)

    @checked(generations=int, time_budget=str | NUMBER, max_evaluations=int, remeasure=bool, keep=str, expected=Mapping)
    def resume(
        self,
        *,
        generations: int | None = None,
        time_budget: str | float | None = None,
        max_evaluations: int | None = None,
        remeasure: bool = False,
        keep: str | None = None,
        expected: Mapping[str, object] | None = None,
        listener: "Listener | None" = None,
    ) -> "Ended":
        """Go on where the run stopped, with a larger budget where one is given (over the whole run, not on top).

        ``remeasure`` measures every network again, on another device. ``keep``: whose weights stay, "front" or "all". A finished
        run has nothing to do. Raises RequestError where its data or device are not those it was started with, or its
        configuration not as ``expected``: seed, data, objectives, .. as in ``configured``, without budgets and limits.

        Example: ``run.resume(time_budget="1h")``
        """
        from hwnas.experiment import resume, silent

        if keep not in (None, "all", "front"):
            raise ConfigError(f"keep is all or front, got {keep!r}")
        changes = budget_changes(generations=generations, time=time_budget, max_evaluations=max_evaluations)
        with run_log(self.folder) as log:
            return resume(
                self.folder,
                changes=changes,
                expected=expected_config(expected or {}),
                remeasure=remeasure,
                keep=keep,
                listener=both(log, listener or silent),
            )

    @checked(models=str | Sequence, epochs=int, time_budget=str | NUMBER, init=str, teacher=str, workers=int)
    def train(
        self,
        models: str | Sequence[str] = "front",
        *,
        epochs: int | None = None,
        time_budget: str | float | None = None,
        init: str = "inherited",
        teacher: str = "original",
        also_validation: bool = False,
        workers: int | None = None,
        listener: "Listener | None" = None,
    ) -> "Trained":
        """Train models (``"front"``, or ids) to the end; each gives a candidate of its own, ``t<number>-<slot>``.

        Each gets ``epochs``, or all together ``time_budget``; by default what the run's ``[final]`` says. ``init``: from the
        weights that a model has ("inherited") or new ones ("scratch"). ``teacher``: an id, "best" of the run, "original" (the
        network that the run began with, for those that descend from it and err more often), "none", or a network from outside
        as ``--start`` names it ("model.onnx", "timm:resnet18", "package.module:factory"), for those that err more often.
        ``also_validation``: they learn the validation images, too, for shipping; they have no validation error, and are on no
        front. The same asked for again continues with what was cut off. Raises RequestError where it cannot be done as asked.

        Example: ``run.train(["g7-1", "g9-3"], time_budget="1h")``
        """
        from hwnas.experiment import Wanted, silent, train

        if init not in ("inherited", "scratch"):
            raise ConfigError(f"init is inherited or scratch, got {init!r}")
        if workers is not None and workers < 1:
            raise ConfigError(f"workers must be at least 1, got {workers}")
        wanted = Wanted(
            models=() if models == "front" else tuple(entry.id for entry in self._chosen(models)),
            epochs=epochs,
            time_s=None if time_budget is None else seconds(time_budget),
            inherits=init == "inherited",
            teacher=teacher,
            also_validation=also_validation,
        )
        with run_log(self.folder) as log:
            return train(self.folder, wanted, workers=workers, listener=both(log, listener or silent))

    @checked(limits=Mapping, prefer=Mapping, knee=bool)
    def pick(
        self, limits: Mapping[str, float] | None = None, prefer: Mapping[str, float] | None = None, *, knee: bool = False
    ) -> Pick:
        """One model of the front within ``limits`` (value by objective), the best balance of what ``prefer`` weighs.

        Without ``prefer`` the run's objectives weigh the same; with it those not named only break ties. ``knee``: the knee of
        what is within the limits instead. Raises ConfigError for names and numbers that cannot be, WorkError where no model of
        the front is within the limits.

        Example: ``run.pick({"error": 0.05}, {"latency_ms": 1}).entry.id``
        """
        return pick(self.front(), self.objectives, limits or {}, prefer or {}, knee=knee)

    @checked(id=str)
    def model(self, id: str) -> "Classifier":
        """A trained model as a torch module in evaluation mode: images float32 (n, C, H, W) in [0, 1] to logits (n, classes).

        It computes what its exported file does; ``model(id).network`` is the network without the normalisation. Raises
        RequestError for an unknown or untrained model, DataError where the data are not the run's.

        Example: ``run.model("g7-1")(images).argmax(1)``
        """
        from hwnas.models.classifier import trained_module

        with self._store() as store:
            return trained_module(store, self._entry(id).row)

    @checked(id=str, precision=str)
    def onnx(self, id: str, precision: str = "float32") -> bytes:
        """The ONNX file of a trained model, checked as `export` does. Raises as that does.

        Example: ``Path("g7-1.onnx").write_bytes(run.onnx("g7-1", "int8"))``
        """
        from hwnas.models.file_bytes import onnx_bytes

        with self._store() as store:
            return onnx_bytes(store, self._entry(id).row, precision)

    @checked(everyone=bool)
    def frame(self, *, everyone: bool = False) -> "DataFrame":
        """The front as a pandas DataFrame, a row for each network by its id, best error first; with ``everyone`` all candidates.

        Columns are those of ``hwnas front --format json``. Raises RequestError where pandas is not installed.

        Example: ``run.frame()[["error", "parameters"]]``
        """
        from hwnas.api.framing import frame

        return frame(self.rows() if everyone else self.front())

    @checked(count=int, by=str, limits=Mapping)
    def bands(self, count: int = 5, *, by: str | None = None, limits: Mapping[str, float] | None = None) -> list[Band]:
        """The most accurate model of each of ``count`` bands of an objective, on a logarithmic scale; ``by`` default latency, or
        parameters where the run measured none. Bands whose best is no more accurate than a cheaper one's are left out.

        Raises ConfigError for names and numbers that cannot be, WorkError where nothing is within the limits.

        Example: ``[band.entry.id for band in run.bands(5, by="parameters")]``
        """
        return bands_of(self.front(), self.objectives, count, by=by, limits=limits or {})

    @checked(out=PATH, models=str | Sequence, precisions=Sequence, guard=bool, guard_top=int, checksums=bool, replace=bool)
    def export(
        self,
        out: str | os.PathLike[str],
        *,
        models: str | Sequence[str] = "front",
        precisions: Sequence[str] = ("float32",),
        guard: bool = False,
        guard_top: int | None = None,
        checksums: bool = False,
        replace: bool = False,
    ) -> "Manifest":
        """Write models (``"front"``, or ids) as checked ONNX files into a new folder or an export folder, or nothing at all.

        What is in an export folder stays there, unless ``replace``.

        ``guard`` adds ``<id>.guard.onnx`` and ``<id>.int8.guard.onnx``: activations clipped to their range on training data,
        int8 ones to that of all but outliers, against bit flips. ``guard_top`` clips so many feature maps of each network alone,
        those where flips are expected to do most harm (``hwnas.deployed.protection``). ``checksums`` adds
        ``<id>.checksums.onnx``, a float32 file with one output more that says where a layer did not compute what its weights say.

        Raises RequestError for unknown models, a folder that holds something else and data not the run's, StoreError where
        stored weights are damaged, ExportError where a file does not compute what its network computes.

        Example: ``run.export("bundle", models=["g7-1"], precisions=["float32", "int8"])``
        """
        from hwnas.models.exporting import export_models

        chosen = self._chosen(models)
        with self._store() as store:
            return export_models(
                store,
                [entry.row for entry in chosen],
                Path(out),
                precisions=precisions,
                guard=guard,
                guard_top=guard_top,
                checksums=checksums,
                replace=replace,
            )

    @checked(models=str | Sequence, onnx=Sequence, faults=Sequence)
    def faults(
        self,
        *,
        models: str | Sequence[str] = "front",
        onnx: Sequence[str | os.PathLike[str]] = (),
        faults: Sequence[str] = ("single", "ber"),
        watch: "Watch | None" = None,
        **settings: "Unpack[FaultOptions]",
    ) -> "FaultReport":
        """Fault-injection campaigns on models of the run and on ONNX files, on the run's validation images.

        ``settings`` are those of ``hwnas.campaign.FaultSettings``. Campaigns lie in the run's folder and are continued.
        Raises RequestError where a campaign cannot be had as asked.

        Example: ``run.faults(models=["g7-1"], dtype="int8", half_width=0.5)``
        """
        from hwnas.campaign.of_run import fault_study
        from hwnas.campaign.settings import fault_settings

        wanted, names = fault_settings(settings, faults)
        if not models and not onnx:
            raise RequestError("nothing to fault: name models of the run or files of your own; see: --models front, --onnx FILE")
        rows = [entry.row for entry in self._chosen(models)] if models else []
        with self._store() as store:
            files, watcher = [Path(file) for file in onnx], watch or (lambda stage: None)
            return fault_study(store, rows, files, wanted, names, watcher, threads=physical_cores())

    @checked(out=PATH, replace=bool)
    def report(self, out: str | os.PathLike[str] | None = None, *, replace: bool = False) -> Path:
        """Write the run as one self-contained HTML page (``report.html`` in its folder by default); gives the page's path.

        Raises RequestError where a file that is no such page lies there, unless ``replace``.

        Example: ``run.report("report.html")``
        """
        output = report_of(self.folder, out, replace=replace)
        self._write_page(output, None)
        return output.path

    @checked(out=PATH, every=str | NUMBER, replace=bool)
    def watch(self, out: str | os.PathLike[str] | None = None, *, every: str | float = "10s", replace: bool = False) -> str:
        """Write the page of ``report`` again whenever the run has changed, until it has ended; gives why it has.

        It looks every so many seconds, and so does the page. Raises RequestError as ``report`` does.

        Example: ``run.watch(every="30s")``
        """
        from hwnas.api.watching import interval_of, watch

        output = report_of(self.folder, out, replace=replace)
        return watch(self, lambda refresh_s: self._write_page(output, refresh_s), interval_of(every))

    @checked(mlflow=str, tensorboard=PATH, optuna=str, name=str, experiment=str, every=str | NUMBER)
    def track(
        self,
        *,
        mlflow: str | None = None,
        tensorboard: str | os.PathLike[str] | None = None,
        optuna: str | None = None,
        name: str | None = None,
        experiment: str = "hwnas",
        every: str | float | None = None,
    ) -> "list[Tracked]":
        """Write the run into experiment trackers; a second time only what is new is added. Gives what each of them has now.

        ``mlflow``: the address of a tracking store, where ``experiment`` gets a run with a nested one for each network;
        ``optuna``: that of a storage, which gets a study; ``tensorboard``: a folder for event files. ``every`` goes on until the
        run is over, looking every so many seconds. Raises RequestError where a library is missing, TrackerError where a tracker
        fails.

        Example: ``run.track(mlflow="sqlite:///mlflow.db", tensorboard="events")``
        """
        from hwnas.api.tracking import Trackers

        folder = None if tensorboard is None else Path(tensorboard)
        trackers = Trackers(mlflow=mlflow, tensorboard=folder, optuna=optuna, name=name, experiment=experiment)
        return trackers.write(self) if every is None else trackers.follow(self, every)

    @checked(folder=PATH, replace=bool)
    def pictures(self, folder: str | os.PathLike[str], *, replace: bool = False) -> list[Path]:
        """Write the main plots as PNG and SVG, for a paper; gives the paths. They need matplotlib (the extra ``plots``).

        Raises RequestError without it, and where a file that is no such picture lies there, unless ``replace``.

        Example: ``run.pictures("figures")``
        """
        from hwnas.api.picturing import write_pictures

        with self._store() as store:
            return write_pictures(store, self.objectives, Path(folder), replace=replace)

    def _write_page(self, output: Output, refresh_s: float | None) -> None:
        from hwnas.report.page import page

        with self._store() as store:
            output.write_text(page(store, self.objectives, refresh_s=refresh_s))

    def _entry(self, id: str) -> Entry:
        (entry,) = self._chosen([id])
        return entry

    def _chosen(self, models: str | Sequence[str]) -> list[Entry]:
        return chosen(self.rows(), models, self.folder)


@checked(path=PATH)
def open_run(path: str | os.PathLike[str]) -> Run:
    """A run that is on disk, finished or not. Raises RunFolderError where there is none.

    Example: ``hwnas.open_run("runs/mine").front()``
    """
    return Run(path)
