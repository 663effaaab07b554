"""Networks and data for the tests of training."""

from collections.abc import Mapping
from functools import cache
from typing import Any

import torch
from torch import Generator

from hwnas.data import Augmentation, DataSet, DataSettings, Split, load
from hwnas.graph import Flatten, Graph, Input, Linear, Node
from hwnas.morphism.from_scratch import from_scratch
from hwnas.network import Network, transfer
from hwnas.spaces import initial_graphs
from hwnas.training import TrainerSettings, Training, train

torch.set_num_threads(1)
PLAIN = Augmentation()


@cache
def digits() -> DataSet:
    return load(DataSettings())


def graph(name: str = "flat-4-8") -> Graph:
    return dict(initial_graphs((1, 8, 8), 10))[name]


def fresh(seed: int = 0, name: str = "flat-4-8") -> Network:
    """An untrained network."""
    plan = from_scratch(graph(name))
    return Network(graph(name), transfer([(graph(name), plan)], {}, Generator().manual_seed(seed)))


def trained(network: Network, images: int = 320, seed: int = 0, data: DataSet | None = None, **changes: Any) -> Training:
    """Train in place; ``changes``: settings, a teacher, a checkpoint, where to stop, augmentation."""
    others = {name: changes.pop(name) for name in ("teacher", "checkpoint", "until", "first") if name in changes}
    augmentation = changes.pop("augmentation", PLAIN)
    return train(
        network,
        data or digits(),
        settings=TrainerSettings(**changes),
        augmentation=augmentation,
        images=images,
        generator=Generator().manual_seed(seed),
        **others,
    )


def equal(first: Mapping[str, torch.Tensor], second: Mapping[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def channel_picker(classes: int) -> Network:
    """Answers with the brightest channel of an image of one pixel."""
    nodes = (
        Node(1, Input(channels=classes, height=1, width=1)),
        Node(2, Flatten(), (1,)),
        Node(3, Linear(out_features=classes), (2,)),
    )
    return Network(Graph(nodes, 3), {"3.weight": torch.eye(classes), "3.bias": torch.zeros(classes)})


def answers(labels: list[int], given: list[int], classes: int) -> DataSet:
    """Images of one pixel that `channel_picker` takes for ``given`` and that are labelled ``labels``, in every split."""
    images = torch.zeros((len(given), classes, 1, 1), dtype=torch.uint8)
    images[torch.arange(len(given)), given] = 255
    split = Split(images=images, labels=torch.tensor(labels))
    return DataSet.of("answers", tuple("abcdefgh"[:classes]), split, split, split)
