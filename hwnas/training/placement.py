"""Where a network is trained: on a GPU where this process sees one, else on the CPU."""

import os

import torch

from hwnas.network import Network


def training_device() -> torch.device:
    """One of the CUDA GPUs that this process sees, over which processes spread; else Apple's MPS; else the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda", os.getpid() % torch.cuda.device_count())
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def device_of(network: Network) -> torch.device:
    """Where a network's tensors are."""
    return next(network.parameters()).device
