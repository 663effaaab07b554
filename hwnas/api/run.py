"""A run on disk, and everything that can be asked of it."""

import os
import shlex
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwnas.api.banding import Band, bands
from hwnas.api.checking import NUMBER, PATH, checked
from hwnas.api.files import PICTURE, REPORT, Output
from hwnas.api.options import expected_config, physical_cores
from hwnas.api.picking import Pick, full_name, pick, within_limits
from hwnas.config import Budget, config_from_json, seconds, settings_of
from hwnas.errors import ConfigError, RequestError, WorkError
from hwnas.objective import Objective
from hwnas.objectives import known_objectives, objectives_named
from hwnas.progress.log_file import both, run_log
from hwnas.progress.progress import OUT_OF_TIME
from hwnas.report import Entry, entries, predictor_error, too_short_for, why_ended, why_of_no_use
from hwnas.report.table import STATUSES
from hwnas.settings.reference import import_modules
from hwnas.store import RunStore
from hwnas.store.creation import WEIGHTS
from hwnas.store.database import DATABASE
from hwnas.store.weights import SUFFIX

if TYPE_CHECKING:
    from pandas import DataFrame

    from hwnas.campaign import FaultReport
    from hwnas.campaign.campaign import Watch
    from hwnas.experiment import Ended, Listener, Trained
    from hwnas.export import Manifest
    from hwnas.models.classifier import Classifier

NEW_S = 60.0


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
        return f"<hwnas run in {self.folder}: {len(self.front())} networks on the front, {self.ended() or 'not ended'}>"

    def _store(self) -> RunStore:
        return RunStore.open(self.folder, write=False)

    def rows(self) -> list[Entry]:
        """Every candidate that has an outcome: the front, best error first, then what is dominated, failed or infeasible."""
        with self._store() as store:
            return entries(store.rows(), self.objectives)

    def front(self) -> list[Entry]:
        """The Pareto front of all that finished so far, best error first."""
        return [entry for entry in self.rows() if entry.on_front]

    def predictor_error(self) -> str | None:
        """How well its latencies were predicted before they were measured, in words; None where nothing was predicted."""
        with self._store() as store:
            return predictor_error(store)

    def why_empty(self) -> str | None:
        """Why there is no front; None where there is one."""
        counts = Counter(entry.status for entry in self.rows())
        if counts["finished"]:
            return None
        tried = ", ".join(f"{count} {STATUSES.get(status, status)}" for status, count in counts.most_common())
        if not tried:
            return "nothing has finished yet"
        why = "no network kept to the limits" if counts["infeasible"] else "no network finished"
        return f"{why}; {tried}, see --all"

    def why_of_no_use(self) -> str | None:
        """That no network is within the error, or another trained value, that the run allows; None where one is."""
        return why_of_no_use(self.rows(), self.objectives)

    def too_short(self) -> str | None:
        """That its time ended before a child of a network was trained; None where one was, or another end was asked for."""
        return too_short_for(self.rows()) if self.ended() == OUT_OF_TIME else None

    def lost(self) -> str | None:
        """That weights lie in the folder which no outcome names, as when the database was lost in part; None where none do.

        Those of the last minute do not count: their outcome may be about to be written.
        """
        with self._store() as store:
            names = store.unnamed_weights()
        files = [self.folder / WEIGHTS / f"{name}{SUFFIX}" for name in names]
        old = [file for file in files if time.time() - file.stat().st_mtime > NEW_S]
        if not old:
            return None
        what = "1 file of weights is" if len(old) == 1 else f"{len(old)} files of weights are"
        return (
            f"{what} named by no outcome: a kill came between the two, or a part of {DATABASE} was lost (its -wal file holds "
            "what was written last; bring it back from a backup). Nothing of it is deleted"
        )

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
        """
        from hwnas.experiment import resume, silent

        if keep not in (None, "all", "front"):
            raise ConfigError(f"keep is all or front, got {keep!r}")
        given = {"generations": generations, "time": time_budget, "max_evaluations": max_evaluations}
        given = {name: value for name, value in given.items() if value is not None}
        budget = settings_of(Budget, given, "the budget")
        with run_log(self.folder) as log:
            return resume(
                self.folder,
                changes={name: getattr(budget, name) for name in given},
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
        workers: int | None = None,
        listener: "Listener | None" = None,
    ) -> "Trained":
        """Train models (``"front"``, or ids) to the end; each gives a candidate of its own, ``t<number>-<slot>``.

        Each gets ``epochs``, or all together ``time_budget``; by default what the run's ``[final]`` says. ``init``: from the
        weights that a model has ("inherited") or new ones ("scratch"). ``teacher``: an id, "best" of the run, "original" (the
        network that the run began with, for those that descend from it and err more often) or "none". The same asked for again
        continues with what was cut off. Raises RequestError where it cannot be done as asked.
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
        """
        return pick(self.front(), self.objectives, limits or {}, prefer or {}, knee=knee)

    @checked(id=str)
    def model(self, id: str) -> "Classifier":
        """A trained model as a torch module in evaluation mode: images float32 (n, C, H, W) in [0, 1] to logits (n, classes).

        It computes what its exported file does; ``model(id).network`` is the network without the normalisation. Raises
        RequestError for an unknown or untrained model, DataError where the data are not the run's.
        """
        from hwnas.models.classifier import trained_module

        with self._store() as store:
            return trained_module(store, self._entry(id).row)

    @checked(id=str, precision=str)
    def onnx(self, id: str, precision: str = "float32") -> bytes:
        """The ONNX file of a trained model, checked as `export` does. Raises as that does."""
        from hwnas.models.file_bytes import onnx_bytes

        with self._store() as store:
            return onnx_bytes(store, self._entry(id).row, precision)

    @checked(everyone=bool)
    def frame(self, *, everyone: bool = False) -> "DataFrame":
        """The front as a pandas DataFrame, a row for each network by its id, best error first; with ``everyone`` all candidates.

        Columns are those of ``hwnas front --format json``. Raises RequestError where pandas is not installed.
        """
        try:
            import pandas
        except ModuleNotFoundError as error:
            raise RequestError(f"a frame needs pandas, which is not there ({error}): pip install pandas") from error
        return pandas.DataFrame([entry.to_json() for entry in (self.rows() if everyone else self.front())]).set_index("id")

    @checked(count=int, by=str, limits=Mapping)
    def bands(self, count: int = 5, *, by: str | None = None, limits: Mapping[str, float] | None = None) -> list[Band]:
        """The most accurate model of each of ``count`` bands of an objective, on a logarithmic scale; ``by`` default latency, or
        parameters where the run measured none. Bands whose best is no more accurate than a cheaper one's are left out.

        Raises ConfigError for names and numbers that cannot be, WorkError where nothing is within the limits.
        """
        known, own = known_objectives(self.objectives), {objective.name for objective in self.objectives}
        name = full_name(by or ("latency_ms" if "latency_ms" in own else "parameters"), known)
        return bands(within_limits(self.front(), self.objectives, limits or {}), known[name], count)

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
        """
        from hwnas.models.exporting import export_models

        if guard_top is not None and guard_top < 1:
            raise ConfigError(f"--guard-top is how many feature maps are clipped, at least 1, got {guard_top}; --guard clips all")
        chosen, guard = self._chosen(models), guard or guard_top is not None
        with self._store() as store:
            rows = [entry.row for entry in chosen]
            return export_models(
                store,
                rows,
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
        **settings: Any,
    ) -> "FaultReport":
        """Fault-injection campaigns on models of the run and on ONNX files, on the run's validation images.

        ``settings`` are those of ``hwnas.campaign.FaultSettings``: target, dtype, bers, half_width, seed, .. Campaigns lie in
        the run's folder and are gone on with. Raises RequestError where a campaign cannot be had as asked.
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
        """
        output = self._page(out, replace=replace)
        self._write_page(output, None)
        return output.path

    @checked(out=PATH, every=str | NUMBER, replace=bool)
    def watch(self, out: str | os.PathLike[str] | None = None, *, every: str | float = "10s", replace: bool = False) -> str:
        """Write the page of ``report`` again whenever the run has changed, until it has ended; gives why it has.

        It looks every so many seconds; as long as the run is at work the page loads itself again as often. Raises RequestError
        as ``report`` does.
        """
        from hwnas.api.watching import interval_of, watch

        output, every_s = self._page(out, replace=replace), interval_of(every)
        return watch(self, lambda refresh_s: self._write_page(output, refresh_s), every_s)

    @checked(folder=PATH, replace=bool)
    def pictures(self, folder: str | os.PathLike[str], *, replace: bool = False) -> list[Path]:
        """Write the main plots as PNG and SVG, for a paper; gives the paths. They need matplotlib (the extra ``plots``).

        Raises RequestError without it, and where a file that is no such picture lies there, unless ``replace``.
        """
        try:
            from hwnas.report.static import pictures
        except ModuleNotFoundError as error:
            raise RequestError(f"pictures need matplotlib, which is not there ({error}): pip install 'hwnas[plots]'") from error
        with self._store() as store:
            made = list(pictures(store, self.objectives))
        if not made:
            raise WorkError(f"there is nothing to draw yet in {self.folder}: {self.why_empty()}")
        outputs = [Output(path=Path(folder) / name, kind=PICTURE, replace=replace) for name, _ in made]
        for output in outputs:
            output.refuse_foreign()
        for output, (_, content) in zip(outputs, made, strict=True):
            output.write_bytes(content)
        return [output.path for output in outputs]

    def _page(self, out: str | os.PathLike[str] | None, *, replace: bool) -> Output:
        """Where the page is to be written. Raises RequestError where it must not be."""
        path = self.folder / "report.html" if out is None else Path(out)
        output = Output(path=path, kind=REPORT, replace=replace)
        output.refuse_foreign()
        return output

    def _write_page(self, output: Output, refresh_s: float | None) -> None:
        from hwnas.report.page import page

        with self._store() as store:
            output.write_text(page(store, self.objectives, refresh_s=refresh_s))

    def _entry(self, id: str) -> Entry:
        (entry,) = self._chosen([id])
        return entry

    def _chosen(self, models: str | Sequence[str]) -> list[Entry]:
        known = {entry.id: entry for entry in self.rows()}
        front = [entry for entry in known.values() if entry.on_front]
        if not front:
            raise WorkError(f"{self.folder} has no trained model yet")
        if models == "front":
            return front
        ids = [models] if isinstance(models, str) else list(dict.fromkeys(models))
        unknown = [candidate_id for candidate_id in ids if candidate_id not in known]
        if unknown:
            named = ", ".join(map(shlex.quote, unknown))  # an empty name, too
            raise RequestError(f"no model {named} in {self.folder}; see: hwnas front {self.folder} --all")
        return [known[candidate_id] for candidate_id in ids]


@checked(path=PATH)
def open_run(path: str | os.PathLike[str]) -> Run:
    """A run that is on disk, finished or not. Raises RunFolderError where there is none."""
    return Run(path)


@checked(path=PATH)
def is_run(path: str | os.PathLike[str]) -> bool:
    """Whether a folder holds a run."""
    return (Path(path) / DATABASE).is_file()
