"""The options of a search as types, so that an editor completes them and a type checker refuses wrong ones."""

import os
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any, Literal, TypedDict

from hwnas.errors import ConfigError
from hwnas.objectives import Source
from hwnas.search import StrategySettings

Place = str | os.PathLike[str]


class SearchOptions(TypedDict, total=False):
    """Options of ``hwnas search`` with underscores; None is as not given. ``hwnas search --help`` says what each one means, the
    page Configuration which key of ``run.toml`` it stands for.

    ``objectives``, ``operators`` and ``strategy`` may be objects of one's own, too.
    """

    seed: int | None
    device: Place | None
    workers: int | None
    executor: Literal["local", "ray"] | None
    ray_address: str | None
    metric: Literal["error", "balanced_error"] | None
    objectives: str | Sequence[str | Source] | None
    operators: str | Sequence[object] | None
    imports: str | Sequence[str] | None
    strategy: str | Mapping[str, Any] | StrategySettings | None
    inherit: bool | None
    density: Literal["kernel", "uniform"] | None
    asynchronous: bool | None
    keep: Literal["all", "front"] | None
    start: Sequence[str] | None
    weights: Place | None
    freeze: Sequence[str] | None
    from_run: Place | None
    with_initial: bool | None
    original_teaches: bool | None
    max_error: float | None
    steering: bool | None
    rungs: bool | None
    tune: bool | None
    generations: int | None
    time_budget: str | float | None
    max_evaluations: int | None
    max_latency_ms: float | None
    max_parameters: float | None
    max_macs: float | None
    max_expected_change: float | None
    max_memory_kb: float | None
    data: Place | None
    image_size: str | tuple[int, int] | None
    fit: Literal["crop", "stretch", "pad"] | None
    group_by: str | None
    normalisation: str | Sequence[float] | None
    validation: Place | None


def refuse_unknown(given: Mapping[str, object], known: Sequence[str], what: str = "option") -> None:
    """Raise ConfigError for names that are not known, with the nearest that are."""
    unknown = [name for name in given if name not in known]
    if not unknown:
        return
    near = list(dict.fromkeys(match for name in unknown for match in get_close_matches(name, known, n=2)))
    nearest = f" (did you mean {' or '.join(near)}?)" if near else ""
    raise ConfigError(f"unknown {what} {', '.join(unknown)}{nearest}; known are {', '.join(known)}")
