"""From a configuration to a finished run."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwnas.api.own import by_name
from hwnas.api.run import Run
from hwnas.config import RunConfig, make_config, read_config
from hwnas.graph import Graph
from hwnas.options import default_folder, merged_config
from hwnas.run_log import both, run_log

if TYPE_CHECKING:
    from hwnas.experiment import Listener


def configured(config: str | os.PathLike[str] | Mapping[str, Any] | RunConfig | None = None, **options: Any) -> RunConfig:
    """The configuration of a TOML file (or its tables), overridden by the options of ``hwnas search`` that are not None.

    Options are written with underscores: ``data``, ``device``, ``time_budget``, ``max_latency_ms``, ..; ``objectives``,
    ``operators`` and ``strategy`` may be objects of one's own, too. Raises ConfigError.
    """
    options = by_name(options)
    if isinstance(config, RunConfig):
        config = config.model_dump()
    if config is None or isinstance(config, Mapping):
        return merged_config(config or {}, options)
    tables = read_config(Path(config))
    make_config(tables, os.fspath(config))  # what is wrong in the file is told as the file's
    return merged_config(tables, options)


def start(
    out: str | os.PathLike[str] | None = None,
    *,
    config: str | os.PathLike[str] | Mapping[str, Any] | RunConfig | None = None,
    initial: Sequence[Graph] = (),
    listener: "Listener | None" = None,
    **options: Any,
) -> Run:
    """Search into a new folder and give the finished run; ``config`` and ``options`` as for ``configured``.

    ``initial``: networks for the same images and classes that it begins with, besides the search space's own. Without anything:
    digits, this CPU, three minutes. Raises RequestError before anything is written where the request is wrong.
    """
    settings = configured(config, **options)
    from hwnas.experiment import silent
    from hwnas.experiment import start as run_search

    folder = default_folder(settings) if out is None else Path(out)
    with run_log(folder) as log:
        run_search(settings, folder, initial=initial, listener=both(log, listener or silent))
    return Run(folder)
