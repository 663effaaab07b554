"""How long the workers of a cluster wait: generations against steady state. Part of ``scaling.py``.

Children's training times are drawn from those recorded on this machine, stretched by one to eight, since networks grow over a
run; all policies train the same children. What the main process does between two children costs nothing here: how many
children a second a cluster of each size takes in is given beside, to be held against what asking for one costs.
"""

import heapq
from collections.abc import Sequence
from typing import Any

import numpy as np

CLUSTER = tuple(2**power for power in range(11))
GENERATIONS = 100  # as in the paper
ACCEPTED = 8  # children of a generation by default
STRETCH = 8.0


def idle_shares(recorded_s: Sequence[float], workers: int) -> dict[str, Any]:
    """The share of the workers' time in which they wait.

    ``generational``: a barrier after every ``accepted`` children, eight as by default; ``generational_filled``: generations of as
    many children as workers (eight at least); ``asynchronous``: a worker takes the next child as soon as it is free.
    """
    rng = np.random.default_rng(workers)
    filled = max(ACCEPTED, workers)
    count = GENERATIONS * filled
    times = rng.choice(recorded_s, size=count) * STRETCH ** rng.random(count)
    policies = {"generational": ACCEPTED, "generational_filled": filled, "asynchronous": count}
    spans = {name: _span(times, workers, size) for name, size in policies.items()}
    return {
        "workers": workers,
        "children": count,
        **{f"idle_{name}": max(0.0, 1 - float(times.sum()) / (workers * span)) for name, span in spans.items()},
        "children_per_second": count / spans["asynchronous"],
    }


def _span(times: np.ndarray, workers: int, accepted: int) -> float:
    """How long it takes to train all children, ``accepted`` at a time, the largest of each lot first as the search does."""
    lots = [times[start : start + accepted] for start in range(0, len(times), accepted)]
    return sum(_makespan(np.sort(lot)[::-1] if accepted < len(times) else lot, workers) for lot in lots)


def _makespan(times: np.ndarray, workers: int) -> float:
    """When the last child ends, each taken up in turn as soon as a worker is free."""
    free = [0.0] * workers
    for seconds in times:
        heapq.heapreplace(free, free[0] + float(seconds))
    return max(free)
