"""From a configuration to a finished run."""

import dataclasses
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from hwnas.api.checking import PATH, checked
from hwnas.api.options import default_folder, merged_config
from hwnas.api.own import by_name
from hwnas.api.run import Run
from hwnas.api.search_options import SearchOptions
from hwnas.config import RunConfig, make_config, read_config
from hwnas.errors import ConfigError, RequestError
from hwnas.graph import Graph
from hwnas.progress.log_file import both, run_log
from hwnas.settings import DataSettings

if TYPE_CHECKING:
    from hwnas.experiment import Listener
    from hwnas.importing import Given, NetworkSource


def configured(
    config: str | os.PathLike[str] | Mapping[str, Any] | RunConfig | None = None, **options: Unpack[SearchOptions]
) -> RunConfig:
    """The configuration of a TOML file (or its tables), overridden by the options of ``hwnas search`` that are not None.

    Options are written with underscores: ``data``, ``device``, ``time_budget``, ``max_latency_ms``, ..; ``objectives``,
    ``operators`` and ``strategy`` may be objects of one's own, too. Raises ConfigError, and RequestError for another ``config``.

    Example: ``hwnas.api.configured("run.toml", seed=1).objectives``
    """
    given = by_name(options)
    if isinstance(config, RunConfig):
        config = config.model_dump(exclude_unset=True)  # what was left open is chosen to suit the data
    if config is None or isinstance(config, Mapping):
        return merged_config(_with_former_data(config or {}, given), given)
    if not isinstance(config, str | os.PathLike):
        raise RequestError(f"config must be a path, a mapping of its sections or a RunConfig, got {config!r}")
    tables = read_config(Path(config))
    make_config(tables, os.fspath(config))  # what is wrong in the file is reported as the file's
    return merged_config(_with_former_data(tables, given), given)


def _with_former_data(tables: Mapping[str, Any], options: Mapping[str, Any]) -> Mapping[str, Any]:
    """The tables, with the data of the run that a search begins from where they name none: split alike, so that no network is
    judged by images that it was trained on."""
    former = options.get("from_run") or tables.get("from_run")
    if former is None or options.get("data") is not None or "source" in tables.get("data", {}):
        return tables
    from hwnas.models.loading import data_settings
    from hwnas.store import RunStore

    with RunStore.open(Path(former), write=False) as store:
        settings = data_settings(store)
    told = {field.name: getattr(settings, field.name) for field in dataclasses.fields(settings)}
    usual = DataSettings()
    changed = {name: value for name, value in told.items() if value != getattr(usual, name)}
    return {**tables, "data": {**changed, **tables.get("data", {})}}


@checked(out=PATH, initial=Sequence)
def start(
    out: str | os.PathLike[str] | None = None,
    *,
    config: str | os.PathLike[str] | Mapping[str, Any] | RunConfig | None = None,
    initial: "Sequence[Graph | NetworkSource | Given]" = (),
    listener: "Listener | None" = None,
    **options: Unpack[SearchOptions],
) -> Run:
    """Search into a new folder and give the finished run; ``config`` and ``options`` as for ``configured``.

    ``initial``: networks that it begins with. Graphs, for the same images and classes, are trained from scratch besides the
    search space's own; torch modules, and names and paths as of ``hwnas search --start``, keep their weights and are evaluated
    as they are (the space's own join them with ``with_initial``). Without anything: digits, this CPU, three minutes.

    Raises RequestError before anything is written where the request is wrong.

    Example: ``run = hwnas.start("runs/mine", data="photos", time_budget="30m", max_latency_ms=5)``
    """
    settings = configured(config, **options)
    from hwnas.experiment import silent
    from hwnas.experiment import start as run_search

    graphs, sources = _apart(initial, settings)

    folder = default_folder(settings) if out is None else Path(out)
    with run_log(folder) as log:
        run_search(settings, folder, initial=graphs, networks=sources, listener=both(log, listener or silent))
    return Run(folder)


def _apart(initial: "Sequence[Graph | NetworkSource | Given]", settings: RunConfig) -> "tuple[list[Graph], list[NetworkSource]]":
    """What is trained from scratch, and what brings its weights, that of the configuration first."""
    if not initial and not settings.start:
        return [], []
    from hwnas.importing import NetworkSource

    if settings.weights is not None and len(settings.start) != 1:
        raise ConfigError(f"weights belong to one network that the search starts with, got {len(settings.start)}")
    sources = [NetworkSource(given=name, weights=settings.weights) for name in settings.start]
    for each in initial:
        if not isinstance(each, Graph):
            sources.append(each if isinstance(each, NetworkSource) else NetworkSource(given=each))
    return [each for each in initial if isinstance(each, Graph)], sources
