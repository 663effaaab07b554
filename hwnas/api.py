"""Everything that a script or the command line can do with a run.

``hwnas.experiment``, ``hwnas.device``, ``hwnas.export``, ``hwnas.report.page`` and ``hwnas.pareto.choosing`` are imported inside
the functions that need them: they load torch, ONNX Runtime, plotly or pymoo, which seeing a front must not pay for.
"""

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwnas.config import Budget, RunConfig, read_config, settings_of
from hwnas.errors import ConfigError, HwnasError, RequestError, WorkError
from hwnas.objective import OBJECTIVES, Limit, Objective, objectives_named
from hwnas.options import OPTIONS, default_folder, merged_config
from hwnas.report import Entry, entries
from hwnas.run_log import both, run_log
from hwnas.store import RunStore

if TYPE_CHECKING:
    from hwnas.device import Fingerprint, HardwareProfile, Latency, Noise
    from hwnas.experiment import Ended, Listener
    from hwnas.experiment.exporting import RecomputedError
    from hwnas.export import FileReport, Manifest
    from hwnas.injection import FaultReport
    from hwnas.injection.campaign import Watch
    from hwnas.pareto.choosing import Choice

__all__ = [
    "OPTIONS",
    "BundleCheck",
    "DeviceCheck",
    "Pick",
    "Run",
    "configured",
    "default_folder",
    "devices",
    "measure",
    "open_run",
    "start",
    "verify",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pick:
    """One model out of the front, and why: ``objectives`` name the columns of ``choice``, ``among`` are its rows."""

    entry: Entry
    choice: "Choice"
    objectives: tuple[str, ...]
    among: tuple[str, ...]

    @property
    def reason(self) -> str:
        """Why this model: what it gives up for what, by objective."""
        if len(self.among) == 1:
            return "the only model of the front within the limits."
        parts = [
            f"{name}: {1 - loss:.0%} of the way from the worst to the best (weight {weight:.2g})".replace("%", " %")
            for name, loss, weight in zip(self.objectives, self.choice.losses, self.choice.weights, strict=True)
            if weight > 0
        ]
        second = "" if self.choice.runner_up is None else f"; next best is {self.among[self.choice.runner_up]}"
        limiting = self.objectives[self.choice.limiting]
        return f"best balance of {len(self.among)} models. {'; '.join(parts)}. It gives up most in {limiting}{second}."


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceCheck:
    """A profile and, where its device was reached, what it is and how quiet; ``problem`` says why it was not."""

    name: str
    profile: "HardwareProfile"
    fingerprint: "Fingerprint | None" = None
    noise: "Noise | None" = None
    problem: str | None = None

    @property
    def reached(self) -> str:
        """How the device is reached."""
        if self.profile.runtime is None:
            return "not at all: analytic"
        connection = self.profile.connection
        return "here" if connection.type == "local" else f"SSH to {connection.host}"

    def facts(self) -> dict[str, str]:
        """What there is to say, by name."""
        facts = {"profile": f"{self.name}: {self.profile.description}", "reached": self.reached}
        if self.problem is not None:
            facts["problem"] = self.problem
        if self.fingerprint is not None:
            facts |= {name: "unknown" if fact is None else _fact(fact) for name, fact in self.fingerprint.to_json().items()}
        if self.noise is not None:
            busy = "" if self.noise.other_cores is None else f", others keep {self.noise.other_cores:.2f} cores busy"
            facts["noise"] = f"the reference model varies by {self.noise.spread:.1%}{busy}"
            facts["quiet"] = "yes" if self.noise.quiet else "no: measurements will have wide intervals"
        return facts


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleCheck:
    """What became of one file of a bundle; ``test`` is its test error on the data given (None: not computed)."""

    file: "FileReport"
    test: "RecomputedError | None" = None

    @property
    def problem(self) -> str | None:
        """What is wrong with it; None where nothing is."""
        if self.file.problem is None and self.test is not None and not self.test.agrees:
            return f"its test error is {self.test.error:.4f}, its metadata say {self.test.stated}"
        return self.file.problem

    @property
    def passed(self) -> bool:
        """Whether nothing is wrong with it."""
        return self.problem is None


class Run:
    """A run on disk. It holds nothing but its folder: every call sees the run as it is then, even while a search writes it."""

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        """Raises RunFolderError where the folder holds no run."""
        self.folder = Path(folder)
        with self._store() as store:
            self.objectives: tuple[Objective, ...] = objectives_named(RunConfig.model_validate_json(store.config).objectives)

    def _store(self) -> RunStore:
        return RunStore.open(self.folder, write=False)

    def rows(self) -> list[Entry]:
        """Every candidate that has an outcome: the front, best error first, then what is dominated, failed or infeasible."""
        with self._store() as store:
            return entries(store.rows(), self.objectives)

    def front(self) -> list[Entry]:
        """The Pareto front of all that finished so far, best error first."""
        return [entry for entry in self.rows() if entry.on_front]

    def ended(self) -> str | None:
        """Why the search ended; None where it was interrupted or is at work."""
        with self._store() as store:
            started, ended = store.last_event("started"), store.last_event("ended")
        is_over = ended is not None and (started is None or ended.sequence > started.sequence)
        return str(ended.payload["reason"]) if ended is not None and is_over else None

    def resume(
        self,
        *,
        generations: int | None = None,
        time_budget: str | float | None = None,
        max_evaluations: int | None = None,
        remeasure: bool = False,
        expected: Mapping[str, object] | None = None,
        listener: "Listener | None" = None,
    ) -> "Ended":
        """Go on where the run stopped, with a larger budget where one is given (over the whole run, not on top).

        ``remeasure`` measures every network anew, on another device. A finished run has nothing to do. Raises RequestError where
        its data or device are not those it was started with, or its configuration (seed, objectives, ..) not as ``expected``.
        """
        from hwnas.experiment import resume, silent

        given = {"generations": generations, "time": time_budget, "max_evaluations": max_evaluations}
        given = {name: value for name, value in given.items() if value is not None}
        budget = settings_of(Budget, given, "the budget")
        with run_log(self.folder) as log:
            return resume(
                self.folder,
                changes={name: getattr(budget, name) for name in given},
                expected=expected,
                remeasure=remeasure,
                listener=both(log, listener or silent),
            )

    def pick(self, limits: Mapping[str, float] | None = None, prefer: Mapping[str, float] | None = None) -> Pick:
        """One model of the front within ``limits`` (value by objective), the best balance of what ``prefer`` weighs.

        Without ``prefer`` the run's objectives weigh the same; with it those not named only break ties. Raises ConfigError
        for names and numbers that cannot be, WorkError where no model of the front is within the limits.
        """
        from hwnas.pareto.choosing import choose

        weights = {_objective(name): weight for name, weight in (prefer or {}).items()}
        if any(not 0 <= weight < float("inf") for weight in weights.values()) or (weights and not any(weights.values())):
            raise ConfigError(f"preferences are weights of at least 0, one above 0, such as error=2,latency=1, got {weights}")
        bounds = [Limit(objective=_objective(name), maximum=value) for name, value in (limits or {}).items()]
        among = _within(self.front(), bounds)
        names = tuple(dict.fromkeys([*(objective.name for objective in self.objectives), *weights]))
        points = [[_known(entry, name) for name in names] for entry in among]
        choice = choose(
            points,
            weights=[weights.get(name, 0.0) if weights else 1.0 for name in names],
            log=[OBJECTIVES[name].size_like for name in names],
        )
        ids = tuple(entry.id for entry in among)
        return Pick(entry=among[choice.index], choice=choice, objectives=names, among=ids)

    def export(
        self,
        out: str | os.PathLike[str],
        *,
        models: str | Sequence[str] = "front",
        precisions: Sequence[str] = ("float32",),
        guard: bool = False,
    ) -> "Manifest":
        """Write models (``"front"``, or ids) as checked ONNX files into a new folder, or nothing at all.

        ``guard`` adds ``<id>.guard.onnx``: activations clipped to their range on training data, against bit flips. Raises
        RequestError for unknown models, a folder that holds something else and data that are not the run's, StoreError where
        stored weights are damaged, ExportError where a file does not compute what its network computes.
        """
        from hwnas.experiment.exporting import export_models

        chosen = self._chosen(models)
        with self._store() as store:
            return export_models(store, [entry.row for entry in chosen], Path(out), precisions=precisions, guard=guard)

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

        ``settings`` are those of ``hwnas.injection.FaultSettings``: target, dtype, bers, half_width, seed, .. Campaigns lie in
        the run's folder and are gone on with. Raises RequestError where a campaign cannot be had as asked.
        """
        from hwnas.fault_study import fault_study
        from hwnas.injection.settings import fault_settings

        wanted, names = fault_settings(settings, faults)
        rows = [entry.row for entry in self._chosen(models)] if models else []
        with self._store() as store:
            return fault_study(store, rows, [Path(file) for file in onnx], wanted, names, watch or (lambda stage: None))

    def _chosen(self, models: str | Sequence[str]) -> list[Entry]:
        known = {entry.id: entry for entry in self.rows()}
        front = [entry for entry in known.values() if entry.on_front]
        if not front:
            raise WorkError(f"{self.folder} has no trained model yet")
        if models == "front":
            return front
        ids = [models] if isinstance(models, str) else list(models)
        unknown = [candidate_id for candidate_id in ids if candidate_id not in known]
        if unknown:
            raise RequestError(f"no model {', '.join(unknown)} in {self.folder}; see: hwnas front {self.folder} --all")
        return [known[candidate_id] for candidate_id in ids]

    def report(self, out: str | os.PathLike[str] | None = None) -> Path:
        """Write the run as one self-contained HTML page (``report.html`` in its folder by default); gives the page's path."""
        from hwnas.report.page import page

        path = self.folder / "report.html" if out is None else Path(out)
        with self._store() as store:
            text = page(store, self.objectives)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        except OSError as error:
            raise RequestError(f"cannot write the report to {path}: {error.strerror}; choose another --out") from error
        return path


def configured(config: str | os.PathLike[str] | Mapping[str, Any] | RunConfig | None = None, **options: Any) -> RunConfig:
    """The configuration of a TOML file (or its tables), overridden by the options of ``hwnas search`` that are not None.

    Options are written with underscores: ``data``, ``device``, ``time_budget``, ``max_latency_ms``, .. Raises ConfigError.
    """
    if isinstance(config, RunConfig):
        config = config.model_dump()
    tables = config if isinstance(config, Mapping) else {} if config is None else read_config(Path(config))
    return merged_config(tables, options)


def start(
    out: str | os.PathLike[str] | None = None,
    *,
    config: str | os.PathLike[str] | Mapping[str, Any] | RunConfig | None = None,
    listener: "Listener | None" = None,
    **options: Any,
) -> Run:
    """Search into a new folder and give the finished run; ``config`` and ``options`` as for ``configured``.

    Without anything: digits, this CPU, three minutes. Raises RequestError before anything is written where the request is wrong.
    """
    settings = configured(config, **options)
    from hwnas.experiment import silent
    from hwnas.experiment import start as run_search

    folder = default_folder(settings) if out is None else Path(out)
    with run_log(folder) as log:
        run_search(settings, folder, listener=both(log, listener or silent))
    return Run(folder)


def open_run(path: str | os.PathLike[str]) -> Run:
    """A run that is on disk, finished or not. Raises RunFolderError where there is none."""
    return Run(path)


def measure(
    model: str | os.PathLike[str], device: str = "local-cpu", *, shapes: Mapping[str, int] | None = None
) -> "tuple[Latency, Fingerprint]":
    """The latency of any ONNX file on a device, to its profile's own target, and what the device is.

    ``shapes`` settles symbolic dimensions by name. Raises ModelError, ProfileError, DeviceError.
    """
    from hwnas.device import load_profile, open_device, read_model

    profile, content = load_profile(device), read_model(model)
    target = profile.measurement
    with open_device(profile) as opened:
        latency = opened.measure(content, half_width=target.half_width, time_limit_s=target.time_limit_s, shapes=shapes)
        return latency, opened.fingerprint()


def devices(*, check: bool = False, names: Sequence[str] | None = None) -> list[DeviceCheck]:
    """The hardware profiles that come with hwnas, or those named; ``check`` reaches each device and looks how quiet it is."""
    from hwnas.device import load_profile, profile_names

    profiles = {name: load_profile(name) for name in names or profile_names()}
    if not check:
        return [DeviceCheck(name=name, profile=profile) for name, profile in profiles.items()]
    checks = {name: _checked(name, profile) for name, profile in profiles.items() if profile.connection.type == "local"}
    remote = {name: profile for name, profile in profiles.items() if name not in checks}
    with ThreadPoolExecutor() as pool:  # each may keep us waiting
        checks |= zip(remote, pool.map(_checked, remote, remote.values()), strict=True)
    return [checks[name] for name in profiles]


def _checked(name: str, profile: "HardwareProfile") -> DeviceCheck:
    from hwnas.device import open_device

    if profile.runtime is None:
        return DeviceCheck(name=name, profile=profile)
    try:
        with open_device(profile) as opened:
            return DeviceCheck(name=name, profile=profile, fingerprint=opened.fingerprint(), noise=opened.noise())
    except HwnasError as error:
        return DeviceCheck(name=name, profile=profile, problem=str(error))


def verify(bundle: str | os.PathLike[str], data: str | None = None) -> list[BundleCheck]:
    """Check every file of a bundle: its hash, what it computes on the stored inputs and, with ``data``, its test error.

    Raises ModelError where the folder is no bundle, DataError where the data are not those its errors were computed on.
    """
    from hwnas.device import load_profile
    from hwnas.export import runtime, verify_bundle

    reports = verify_bundle(bundle, runtime(load_profile("local-cpu")))
    if data is None or not all(report.passed for report in reports):
        return [BundleCheck(file=report) for report in reports]
    from hwnas.experiment.exporting import recomputed_errors

    errors = recomputed_errors(Path(bundle), data)
    return [BundleCheck(file=report, test=errors[report.name]) for report in reports]


def _fact(fact: object) -> str:
    return ", ".join(map(str, fact)) or "none" if isinstance(fact, list | tuple) else str(fact)


def _objective(name: str) -> str:
    """The objective of this name; its unit may be left out, as in ``latency``. Raises ConfigError."""
    if name in OBJECTIVES:
        return name
    matches = [known for known in OBJECTIVES if known.startswith(f"{name}_") and known.removeprefix(f"{name}_") in ("ms", "kb")]
    if not matches:
        raise ConfigError(f"unknown objective {name}; known are {', '.join(OBJECTIVES)}")
    return matches[0]


def _known(entry: Entry, name: str) -> float:
    value = entry.value(name)
    if value is None:
        raise RequestError(f"{entry.id} has no {name}: the run did not measure it; leave it out")
    return value


def _within(front: Sequence[Entry], limits: Sequence[Limit]) -> list[Entry]:
    """The members within every limit. Raises WorkError that says how near the front comes."""
    if not front:
        raise WorkError("the run has no trained model yet, so there is none to pick")
    kept = [entry for entry in front if all(limit.allows(_known(entry, limit.objective)) for limit in limits)]
    if not kept:
        wanted = ", ".join(f"{limit.objective} at most {limit.maximum:g}" for limit in limits)
        least = ", ".join(f"{limit.objective} {min(_known(entry, limit.objective) for entry in front):g}" for limit in limits)
        raise WorkError(f"no model of the front has {wanted}; the least on the front is {least}: loosen a limit, or search on")
    return kept
