"""What the figures of a fault campaign mean, a sentence for each network."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hwnas.campaign import FaultReport, NetworkResult
    from hwnas.campaign.results import SingleResult, Vulnerability

MOST_OF_IT = 0.9  # layers and bits are named until they have this share of the loss
NAMED = 3


def sentences(report: "FaultReport") -> list[str]:
    """One for each network with single faults: how often one flip changes a decision, and where the accuracy is lost."""
    return [f"{network.model}: {_of(network, network.single)}" for network in report.networks if network.single is not None]


def _of(network: "NetworkResult", single: "SingleResult") -> str:
    stored = "an activation" if network.target == "activations" else "a weight"
    changed = single.changed
    if changed.value <= 0:
        seldom = "" if changed.high <= 0 else f", at most one in {_one_in(changed.high)}"
        return f"none of {single.faults:,} faults in {stored} changed a decision{seldom} (95 %)."
    range_of = f"{_one_in(changed.high)} to {_one_in(changed.low)}" if changed.low > 0 else f"{_one_in(changed.high)} or more"
    often = f"one fault in {stored} changes about one decision in {_one_in(changed.value)} ({range_of})"
    return f"{often}; {_where(single)}."


def _one_in(share: float) -> str:
    return f"{1 / share:,.0f}"


def _where(single: "SingleResult") -> str:
    """Through which bits of which layers the accuracy is lost."""
    known = [part for part in single.parts if "all" not in (part.layer, part.group) and part.drop is not None]
    losses = {(part.layer, part.group): _loss(part) for part in known}
    total = sum(losses.values())
    if single.drop.low <= 0 or total <= 0:
        return "where is not known: the mean drop may be nothing, more faults would tell (--half-width)"
    ordered = sorted(losses, key=losses.__getitem__, reverse=True)
    named, share = [], 0.0
    for layer, group in ordered[:NAMED]:
        named.append(f"{group} of {layer}")
        share += losses[layer, group] / total
        if share >= MOST_OF_IT:
            break
    return f"{share:.0%} of what is lost is lost through {' and '.join(named)}".replace("%", " %", 1)


def _loss(part: "Vulnerability") -> float:
    """What faults in a part cost in all, in points times bits; gains by chance count as nothing."""
    assert part.drop is not None
    return max(0.0, part.drop.value) * part.bits
