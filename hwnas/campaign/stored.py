"""What a run keeps of a campaign's figures, beside the campaign itself, so that its page shows them without torch."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from hwnas.campaign.results import CurveResult, FaultReport, NetworkResult, SingleResult
from hwnas.campaign.settings import FaultName
from hwnas.resilience import Estimate
from hwnas.store.campaigns import CampaignFigures, CurveFigures, Interval, LayerDrop, SingleFigures, write_figures


def keep_figures(run: Path, report: FaultReport, faults: Sequence[FaultName], seed: int) -> None:
    """Write the figures of every network of a report into the run's folder, a file for each fault model."""
    for network in report.networks:
        for fault in faults:
            figures = figures_of(network, fault, seed)
            if figures is not None:
                write_figures(run, figures)


def figures_of(network: NetworkResult, fault: FaultName, seed: int) -> CampaignFigures | None:
    """The figures of a network under a fault model; None where it has none, such as a curve of one that only guesses."""
    expected = {each.layer: each.share for each in network.expected}
    single = None if fault == "ber" or network.single is None else _single(network.single, expected)
    curve = None if fault != "ber" or network.curve is None else _curve(network.curve)
    if single is None and curve is None:
        return None
    return CampaignFigures(
        model=network.model,
        dtype=network.dtype,
        target=network.target,
        fault=fault,
        seed=seed,
        clean_error=float(network.clean_error),
        single=single,
        curve=curve,
    )


def _single(result: SingleResult, expected: Mapping[str, float]) -> SingleFigures:
    whole = [part for part in result.parts if part.group == "all" and part.layer != "all"]
    return SingleFigures(
        faults=result.faults,
        bits=int(result.bits),
        drop=_interval(result.drop),
        critical=_interval(result.critical),
        device_drop=_interval(result.device_drop),
        layers=tuple(
            LayerDrop(
                layer=part.layer,
                bits=part.bits,
                drop=None if part.drop is None else _interval(part.drop),
                expected=expected.get(part.layer),
                changed=None if part.share is None else _share(part.share),
            )
            for part in whole
        ),
    )


def _curve(result: CurveResult) -> CurveFigures:
    return CurveFigures(
        bers=tuple(map(float, result.bers)),
        accuracies=tuple(_share(each) for each in result.summary.accuracies),
        clean=float(result.clean),
        chance=float(result.chance),
        trials=result.trials,
    )


def _interval(estimate: Estimate) -> Interval:
    return Interval(value=float(estimate.value), low=float(estimate.low), high=float(estimate.high))


def _share(estimate: Estimate) -> Interval:
    """The estimate of a share, whose interval may reach beyond what a share can be."""
    return Interval(value=float(estimate.value), low=max(0.0, float(estimate.low)), high=min(1.0, float(estimate.high)))
