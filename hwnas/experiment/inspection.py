"""What would be taken of a network from outside, before a search begins with it."""

import dataclasses
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from hwnas.data import DataSet, DataSettings, Split, load, normalise
from hwnas.errors import ConfigError
from hwnas.graph import Graph, cost, layer_costs
from hwnas.importing import ImportedNetwork, NetworkSource, Normalisation, Parity, network_of, parity, shape_of
from hwnas.morphism.channel_groups import pinned_layers, prunable_share
from hwnas.network import Network
from hwnas.training import Evaluation, evaluate

DATA_IMAGES = 256  # of the data, that logits are compared on


@dataclass(frozen=True, slots=True, kw_only=True)
class PinnedLayer:
    """A layer that keeps its width: its kind, the source's own ``name`` of its weights (None: it has none), and ``why``."""

    node: int
    kind: str
    name: str | None
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """What would be taken of a network.

    ``shape`` (C, H, W) of its images; ``operations`` counts them by kind; ``module_macs`` are those that torch counts in the
    user's own module while it runs, None where the source is none; ``prunable_share`` as in ``hwnas.morphism.channel_groups``.
    ``on_random`` and ``on_data`` compare its logits with the source's. ``evaluation`` is that of the data's validation images,
    None where the head is new or no data are given.
    """

    name: str
    shape: tuple[int, ...]
    classes: int
    is_new: bool
    operations: tuple[tuple[str, int], ...]
    layers: int
    parameters: int
    macs: int
    module_macs: int | None
    prunable_share: float
    pinned: tuple[PinnedLayer, ...]
    normalisation: Normalisation | None
    on_random: Parity
    on_data: Parity | None = None
    evaluation: Evaluation | None = None


def inspect(source: NetworkSource, data: DataSettings | None = None, image_size: tuple[int, int] | None = None) -> Inspection:
    """What a search would take of a network, for these data, or for images of the size that the source says it takes.

    Raises ModelError, and ConfigError where the size of the images is not known.
    """
    given = None if data is None else load(data)
    channels, height, width = _shape(source, image_size) if given is None else given.shape
    classes = None if given is None else len(given.classes)
    found = network_of(source, channels=channels, height=height, width=width, classes=classes)
    graph, costs = found.graph, cost(found.graph)
    made = Inspection(
        name=found.name,
        shape=(channels, height, width),
        classes=graph.classes,
        is_new=found.is_new,
        operations=tuple(Counter(node.op.kind for node in graph.nodes if node.id != graph.input.id).most_common()),
        layers=sum(layer.macs > 0 for layer in layer_costs(graph)),
        parameters=costs.parameters,
        macs=costs.macs,
        module_macs=None if found.taken.module is None else _module_macs(found.taken.module, found.taken.graph),
        prunable_share=prunable_share(graph),
        pinned=tuple(
            PinnedLayer(node=each.node, kind=graph[each.node].op.kind, name=found.names.get(f"{each.node}.weight"), why=each.why)
            for each in pinned_layers(graph)
        ),
        normalisation=found.normalisation,
        on_random=found.taken.parity,
    )
    return made if given is None or data is None else _on_data(made, found, data, given)


def _shape(source: NetworkSource, image_size: tuple[int, int] | None) -> tuple[int, ...]:
    """The shape of the images where no data are given. Raises ConfigError."""
    own = shape_of(source)
    if image_size is not None:
        return (3 if own is None else own[0], *image_size)
    if own is None:
        raise ConfigError("the network does not say what images it takes: give --data, or --image-size such as 64x64")
    return own


def _module_macs(module: nn.Module, graph: Graph) -> int:
    """The MACs of a module's convolutions and matrix products for one image, as torch counts them."""
    was_training = module.training
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        module.eval()(torch.zeros(1, *graph.shapes[graph.input.id]))
    module.train(was_training)
    return int(counter.get_total_flops()) // 2


def _on_data(made: Inspection, found: ImportedNetwork, settings: DataSettings, data: DataSet) -> Inspection:
    """With the logits compared on validation images, and the error on them where the head is the source's own."""
    if found.normalisation is not None and settings.normalisation is None:
        own = tuple(chain.from_iterable(found.normalisation))
        data = load(dataclasses.replace(settings, normalisation=own))
    images = _first(data, data.validation)
    taken = found.taken
    compared = parity(taken.graph, taken.state, images, taken.answers(images))
    evaluation = None if found.is_new else evaluate(Network(found.graph, found.state), data, data.validation)
    return dataclasses.replace(made, on_data=compared, evaluation=evaluation)


def _first(data: DataSet, split: Split) -> Tensor:
    return normalise(split.images[:DATA_IMAGES], data)


def in_words(found: Inspection) -> Sequence[tuple[str, str]]:
    """What there is to say of it, by name, in order."""
    channels, height, width = found.shape
    counted = "" if found.module_macs is None else f" (torch counts {found.module_macs:,} in the module)"
    facts = [
        ("network", found.name),
        ("images", f"{channels} channels, {height}x{width}"),
        ("classes", f"{found.classes}" + (", by a new head that a search trains first" if found.is_new else "")),
        ("operations", ", ".join(f"{count} {kind}" for kind, count in found.operations)),
        ("parameters", f"{found.parameters:,} in {found.layers} convolutions and linear layers"),
        ("MACs", f"{found.macs:,}{counted}"),
        ("prunable", f"{found.prunable_share:.0%} of the parameters".replace("%", " %")),
        ("parity", _parity(found.on_random, "random")),
    ]
    if found.on_data is not None:
        facts.append(("parity on data", _parity(found.on_data, "validation")))
    if found.evaluation is not None:
        error, low, high = found.evaluation.by("error")
        interval = f"[{low:.2%}, {high:.2%}]".replace("%", " %")
        facts.append(("validation error", f"{error:.2%} ".replace("%", " %") + interval))
    return facts


def _parity(found: Parity, of: str) -> str:
    return f"logits differ by {found.difference:.2g} at most on {found.images} {of} images (largest logit {found.largest:.3g})"
