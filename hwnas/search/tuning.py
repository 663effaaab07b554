"""Training settings that a candidate carries: they change with it at random, and its children inherit them.

Joint search of networks and hyperparameters, as the baselines of [GuerreroViu2021] have it; log-normal steps, and which settings
take part, are our choices. Where nothing is tuned no random number is drawn, so that such runs are what they were before.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hwnas.candidate import stream_seed

INITIAL_STEPS = 3.0  # how many of a child's steps initial networks are away from what the search begins with


@dataclass(frozen=True, slots=True, kw_only=True)
class TunedSetting:
    """A setting that is searched: where it begins, its bounds, and by how much its logarithm changes from parent to child.

    The logarithm is that of the value and ``shift``, so that a value of 0 can be left, and reached.
    """

    name: str
    begin: float
    low: float
    high: float
    shift: float
    step: float

    def moved(self, value: float, steps: float, rng: np.random.Generator) -> float:
        """A value some ``steps`` away (one standard deviation), to four digits, within the bounds."""
        factor = math.exp(steps * self.step * float(rng.standard_normal()))
        return float(f"{min(max((value + self.shift) * factor - self.shift, self.low), self.high):.4g}")


def initial_settings(tuned: Sequence[TunedSetting], count: int, seed: int, generation: int) -> list[Mapping[str, float | str]]:
    """Those of so many initial networks: the first has what the search begins with, the others lie widely around it."""
    rng = np.random.default_rng(stream_seed(seed, "tune", generation))
    found: list[Mapping[str, float | str]] = [{each.name: each.begin for each in tuned}]
    while len(found) < count:
        found.append({each.name: each.moved(each.begin, INITIAL_STEPS, rng) for each in tuned})
    return found[:count]


def inherited_settings(
    tuned: Sequence[TunedSetting], parent: Mapping[str, float | str], rng: np.random.Generator
) -> Mapping[str, float | str]:
    """A child's: its parent's, each a step away."""
    return {each.name: each.moved(float(parent.get(each.name, each.begin)), 1.0, rng) for each in tuned}
