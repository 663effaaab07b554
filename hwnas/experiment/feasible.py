"""Whether anything within the hard limits can be reached at all, asked before anything is written."""

from collections.abc import Mapping, Sequence

from hwnas.errors import ConfigError
from hwnas.experiment.cheap import cheap_values
from hwnas.experiment.context import RunContext
from hwnas.objective import Limit


def refuse_impossible(context: RunContext) -> None:
    """Raise ConfigError naming the limit that nothing meets, as far as sizes tell; measured latencies are not known yet."""
    if context.limits:
        known = {} if context.accelerator is None else {"latency_ms": context.accelerator.latency_ms}
        ask = context.strategy(lambda graphs: [cheap_values(graph, known, context.graph_values) for graph in graphs]).ask()
        if not ask.candidates:
            raise ConfigError(impossible(context.limits, ask.nearest or {}))


def impossible(limits: Sequence[Limit], nearest: Mapping[str, float]) -> str:
    """The message of a search that found nothing within its limits; ``nearest``: the values of what came nearest to them."""
    stated = " and ".join(f"{limit.objective} at most {limit.maximum:g}" for limit in limits)
    broken = [limit for limit in limits if not limit.allows(nearest.get(limit.objective, 0.0))]
    reached = " and ".join(f"{limit.objective} {nearest[limit.objective]:g} (limit {limit.maximum:g})" for limit in broken)
    return f"no network with {stated} was found; shrinking came down to {reached or 'networks tried before'}: raise that limit"
