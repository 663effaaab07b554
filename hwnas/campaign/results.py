"""What campaigns say: the figures of a network with their intervals, and which differences between networks are real."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from hwnas.campaign.campaign import CurveCampaign, SingleCampaign
from hwnas.campaign.settings import FaultSettings
from hwnas.deployed.protection import Share
from hwnas.resilience import (
    CurveSummary,
    Difference,
    Estimate,
    FaultSample,
    independent_differences,
    summarise,
)

CRITICAL_POINTS = 1.0  # a fault that costs more is critical
DEVICE_RATE = 1e-6  # faults a bit that "per device" figures assume


@dataclass(frozen=True, slots=True, kw_only=True)
class Vulnerability:
    """Mean drop, in points, of one fault in a part of the memory: a layer, a bit group, or both.

    ``share``: of all answers that faults change, those that faults in this part change, in [0, 1]; None where none was changed.
    """

    layer: str
    group: str
    bits: int
    drop: Estimate | None
    share: Estimate | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SingleResult:
    """One fault, drawn uniformly over the bits: mean drop in points, shares in [0, 1], each per bit.

    ``device_drop``: points a device loses at one fault per million bits, as long as faults are rare: a smaller network has
    fewer bits to hit. ``effective``: share of the faults that changed a word at all: one but for stuck bits, which may be stuck
    at the level they have. ``parts`` are the strata.
    """

    bits: int
    faults: int
    drop: Estimate
    changed: Estimate
    critical: Estimate
    unrecoverable: Estimate
    masked: Estimate
    device_drop: Estimate
    effective: Estimate
    parts: tuple[Vulnerability, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CurveResult:
    """Accuracy against bit error rate; ``limited``: the number of trials reached its limit before the interval its half-width."""

    bers: tuple[float, ...]
    clean: float
    chance: float
    trials: int
    limited: bool
    summary: CurveSummary


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkResult:
    """Everything that was found out about one network; ``expected``: where flips are expected to do harm, largest share first."""

    model: str
    dtype: str
    target: str
    clean_error: float
    single: SingleResult | None
    curve: CurveResult | None
    expected: tuple[Share, ...] = ()
    rows: tuple[Mapping[str, Any], ...] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultReport:
    """All networks of a campaign, and all pairs of those that have them by mean drop and by area, with Holm's correction."""

    networks: tuple[NetworkResult, ...]
    by_drop: tuple[Difference, ...]
    by_area: tuple[Difference, ...]

    def __repr__(self) -> str:
        return f"<faults of {', '.join(f'{each.model} ({each.dtype})' for each in self.networks)}>"


def single_result(campaign: SingleCampaign, clean_error: float | None = None) -> SingleResult:
    """The figures of a campaign of single faults; intervals of drops keep to what a network of this clean error can lose."""
    gain, loss = (100.0, 100.0) if clean_error is None else (100.0 * clean_error, 100.0 * (1.0 - clean_error))
    sample = campaign.sampler.sample()
    columns = {
        name: np.array([row[name] for row in campaign.rows], float)
        for name in ("drop", "changed", "unrecoverable", "masked", "effective")
    }

    def sample_of(values: np.ndarray) -> FaultSample:
        return FaultSample(design=sample.design, strata=sample.strata, values=values)

    drop = _within(campaign.sampler.estimate(), -gain, loss)
    shares = {
        name: _within(sample_of(columns[name]).mean(largest_value=1.0), 0.0, 1.0)
        for name in ("changed", "unrecoverable", "masked")
    }
    return SingleResult(
        bits=campaign.population.size,
        faults=len(campaign.rows),
        drop=drop,
        critical=sample_of((columns["drop"] > CRITICAL_POINTS).astype(float)).share(),
        device_drop=drop.scaled(campaign.population.size * DEVICE_RATE),
        effective=sample_of(columns["effective"]).share(),
        parts=tuple(_parts(campaign, sample, sample_of(columns["changed"]), -gain, loss)),
        **shares,
    )


def _within(estimate: Estimate, low: float, high: float) -> Estimate:
    """The estimate with an interval that does not leave what is possible."""
    return Estimate(
        **asdict(estimate)
        | {"low": max(estimate.low, min(low, estimate.value)), "high": min(estimate.high, max(high, estimate.value))}
    )


def _parts(
    campaign: SingleCampaign, sample: FaultSample, changed: FaultSample, lowest: float, highest: float
) -> list[Vulnerability]:
    """Every stratum, and the strata of each layer and of each bit group together."""
    strata = campaign.strata
    chosen: dict[tuple[str, str], list[int]] = {}
    for number, stratum in enumerate(strata):
        for key in ((stratum.layer, stratum.group), (stratum.layer, "all"), ("all", stratum.group)):
            chosen.setdefault(key, []).append(number)
    parts = []
    for (layer, group), numbers in chosen.items():
        part = sample.within(numbers)
        enough = (part.counts >= np.minimum(2, part.design.sizes)).all()
        estimate = _within(part.mean(largest_value=campaign.sampler.plan.largest_value), lowest, highest) if enough else None
        bits, share = int(part.design.sizes.sum()), changed.part_of_total(numbers)
        parts.append(Vulnerability(layer=layer, group=group, bits=bits, drop=estimate, share=share))
    return parts


def curve_result(campaign: CurveCampaign, settings: FaultSettings) -> CurveResult:
    """The figures of a campaign of bit error rates."""
    curve = campaign.curve
    return CurveResult(
        bers=curve.bers,
        clean=curve.clean,
        chance=curve.chance,
        trials=sum(len(trials) for trials in curve.trials),
        limited=campaign.limited,
        summary=summarise(curve, np.random.default_rng([settings.seed, 4])),
    )


def report(networks: Sequence[NetworkResult]) -> FaultReport:
    """Networks side by side. Faults and trials of different networks are not the same bits: drawn apart, on the same images."""
    return FaultReport(
        networks=tuple(networks),
        by_drop=_differences([None if network.single is None else network.single.drop for network in networks]),
        by_area=_differences([None if network.curve is None else network.curve.summary.area for network in networks]),
    )


def _differences(estimates: Sequence[Estimate | None]) -> tuple[Difference, ...]:
    """All pairs of the networks that have an estimate, by their numbers among all."""
    known = [(number, estimate) for number, estimate in enumerate(estimates) if estimate is not None]
    found = independent_differences([estimate for _, estimate in known])
    return tuple(replace(pair, first=known[pair.first][0], second=known[pair.second][0]) for pair in found)


def as_json(found: FaultReport, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The report as JSON can hold it: every figure with its interval, every fault a row; infinities as text."""
    content = {"settings": dict(settings), **asdict(found)}
    for network in content["networks"]:
        if network["curve"] is not None:
            network["curve"].update(network["curve"].pop("summary"))
    plain: dict[str, Any] = _plain(content)
    return plain


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, np.generic):
        return _plain(value.item())
    return str(value) if isinstance(value, float) and not np.isfinite(value) else value
