"""What an operator promises: sites in a fixed order, sound children, plans that can be carried out, exactness if it says so."""

from collections.abc import Sequence

import numpy as np
import torch

from hwnas.errors import MorphismError
from hwnas.graph import Graph, from_json, to_json
from hwnas.morphism import Operator, check_plan, operators_named
from hwnas.morphism.operator import Site
from hwnas.network import Network, State, transfer
from hwnas.settings.reference import reference_of
from hwnas.testing.promise import fresh_state, promise, sample_graphs

TOLERANCE = 1e-5  # of the largest logit, at least 1
MOST_SITES = 4  # of each graph


def check_operator(operator: str | Operator, graphs: Sequence[Graph] | None = None) -> None:
    """Check an operator, given as its name, as a reference or as the object itself, on ``graphs`` (some of digits by default).

    1. A later process finds it again. 2. Sites come in the same order when they are asked for again, and there is one at all.
    3. A child is a sound graph for the same images and classes, can be stored, and its plan names every tensor; the same random
    stream gives the same child. 4. The plan can be carried out; an exact child computes what its parent computed. 5. Off its
    sites the operator raises MorphismError.
    """
    (found,) = operators_named([operator if isinstance(operator, str) else reference_of(operator)])  # 1.
    sites = 0
    for graph in sample_graphs() if graphs is None else graphs:
        places = found.sites(graph)
        promise(places == found.sites(graph), f"{found.name}: sites came in another order when they were asked for again")  # 2.
        sites += len(places)
        for site in places[:MOST_SITES]:
            _check_child(found, graph, site)
    promise(sites > 0, f"{found.name} has no site in any of the graphs")
    graph = sample_graphs()[0]
    try:
        found.apply(graph, Site((10**6,)), np.random.default_rng(0))
    except MorphismError:
        return  # 5.
    raise AssertionError(f"{found.name} must raise MorphismError off its sites (hwnas.morphism.operator.require_site)")


def _check_child(operator: Operator, graph: Graph, site: Site) -> None:
    before = to_json(graph)
    child, again = (operator.apply(graph, site, np.random.default_rng(0)) for _ in range(2))
    where = f"{operator.name} at {site}"
    promise(to_json(graph) == before, f"{where} changed its parent")
    promise(child == again, f"{where} gave another child for the same random stream")
    promise(from_json(to_json(child.graph)) == child.graph, f"{where}: the child cannot be stored")  # 3.
    takes = [tuple(each.shapes[each.input.id]) for each in (graph, child.graph)]
    promise(takes[0] == takes[1] and graph.classes == child.graph.classes, f"{where}: the child takes other images or classes")
    check_plan(graph, child.graph, child.inheritance)
    parent = fresh_state(graph)
    state = transfer([(child.graph, child.inheritance)], parent, torch.Generator().manual_seed(0))  # 4.
    if operator.exact:
        promise(child.inheritance.exact, f"{where}: the operator is exact, and its plan is not")
        images = torch.randn(4, *takes[0], generator=torch.Generator().manual_seed(1))
        was, now = _logits(graph, parent, images), _logits(child.graph, state, images)
        promise(bool((was - now).abs().max() <= TOLERANCE * max(1.0, float(was.abs().max()))), f"{where} is not exact")


def _logits(graph: Graph, state: State, images: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        logits: torch.Tensor = Network(graph, state).eval()(images)
    return logits
