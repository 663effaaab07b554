"""A trained network of a run as a torch module that takes images as its exported file does."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from hwnas.models.loading import refuse_untrained, stored_data, trained_state
from hwnas.network import Network
from hwnas.store import Row, RunStore


class Classifier(nn.Module):
    """Images float32 (n, C, H, W) in [0, 1] to logits (n, classes); the normalisation is inside.

    ``network`` is the network itself, which takes normalised images; ``mean`` and ``std`` (C, 1, 1) normalise.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, network: Network, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("mean", torch.tensor(mean).view(-1, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(-1, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        """The logits of the images."""
        logits: Tensor = self.network((images - self.mean) / self.std)
        return logits


def trained_module(store: RunStore, row: Row) -> Classifier:
    """The network of a trained candidate, in evaluation mode.

    Raises RequestError for one without weights, DataError where the data, whose statistics normalise, are not the run's,
    StoreError where weights are damaged.
    """
    refuse_untrained([row], "had as a module")
    data = stored_data(store)
    return Classifier(Network(row.candidate.graph, trained_state(store, row)), data.mean, data.std).eval()
